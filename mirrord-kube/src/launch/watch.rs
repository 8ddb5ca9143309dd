//! Pods and events as they change, from what is there already on.

use std::{fmt::Debug, time::Duration};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;

use super::state::one_line;

/// How soon a watch is begun again that has ended.
const AGAIN: Duration = Duration::from_millis(100);

/// Which pods.
#[derive(Clone, Debug)]
pub(super) enum Selector {
    /// Those with a label.
    Label(String),
    /// The one of this name.
    Name(String),
}

/// What has become of a pod.
#[derive(Debug)]
pub(super) enum Change {
    /// It is so now.
    Is(Box<Pod>),
    /// It is gone; what it was last.
    Gone(Box<Pod>),
    /// It may not be watched; whatever else fails is tried again.
    Denied(Box<kube::Error>),
}

/// Every change of the selected pods.
pub(super) fn pods(api: &Api<Pod>, selector: &Selector) -> impl Stream<Item = Change> + Send + use<> {
    let params = match selector {
        Selector::Label(label) => WatchParams::default().labels(label),
        Selector::Name(name) => WatchParams::default().fields(&format!("metadata.name={name}")),
    };
    watch(api.clone(), params).filter_map(async |event| match event {
        Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => Some(Change::Is(Box::new(pod))),
        Ok(WatchEvent::Deleted(pod)) => Some(Change::Gone(Box::new(pod))),
        Err(error) if is_denied(&error) => Some(Change::Denied(Box::new(error))),
        _ => None,
    })
}

/// Why a Job has no pod.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The Job's uid.
    pub(super) job: Option<String>,
    pub(super) words: String,
}

/// The words of each event that says why a Job of this name has no pod. Whoever may not read events does not hear them.
pub(super) fn refusals(api: &Api<Event>, job: &str) -> impl Stream<Item = Refusal> + Send + use<> {
    let fields = format!("involvedObject.name={job},involvedObject.kind=Job");
    watch(api.clone(), WatchParams::default().fields(&fields)).filter_map(async |event| match event {
        Ok(WatchEvent::Added(event) | WatchEvent::Modified(event)) => {
            let is_refusal = event.reason.as_deref() == Some("FailedCreate");
            let words = one_line(event.message.as_deref().unwrap_or_default());
            is_refusal.then_some(Refusal { job: event.involved_object.uid, words })
        }
        _ => None,
    })
}

/// Watches, again and again, from any state that the API server has at hand: what is there comes first, so nothing
/// that happens after the beginning is missed, and no version has to be known.
fn watch<K>(api: Api<K>, params: WatchParams) -> impl Stream<Item = Result<WatchEvent<K>, kube::Error>> + Send
where
    K: Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    stream::unfold((api, params, false), async |(api, params, was_there)| {
        if was_there {
            tokio::time::sleep(AGAIN).await;
        }
        let events = match api.watch(&params, "0").await {
            Ok(events) => events.boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        Some((events, (api, params, true)))
    })
    .flatten()
}

fn is_denied(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}
