//! The ready pods of a target, as they come and go.

use std::{collections::BTreeMap, time::Duration};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use mirrord_core::target::Target;

use crate::{
    candidate,
    client::Cluster,
    pod::TargetPod,
    resolve::ready,
    selection::{self, Selection},
};

/// After how long it is asked again what a target selects: its selector changes, or it is deleted and made anew.
const SELECT_AGAIN: Duration = Duration::from_secs(60);
/// How soon a target is asked for again that cannot be had.
const AGAIN: Duration = Duration::from_secs(2);

/// All ready pods of `target`, whenever they change; the first set as soon as it is known. It never ends: what cannot
/// be asked for a while is asked again. A set may be empty.
pub fn pods(cluster: &Cluster, target: &Target) -> impl Stream<Item = Vec<TargetPod>> + Send + use<> {
    let cluster = cluster.clone();
    let target = target.clone();
    let sets = stream::unfold((cluster, target), async |(cluster, target)| {
        let sets = if let Some(selection) = select(&cluster, &target).await {
            sets(&cluster, &target, selection).boxed()
        } else {
            tokio::time::sleep(AGAIN).await;
            stream::empty().boxed()
        };
        Some((sets, (cluster, target)))
    });
    changes(sets.flatten())
}

async fn select(cluster: &Cluster, target: &Target) -> Option<Selection> {
    let Target::Named { kind, name, .. } = target else { return None };
    match selection::select(cluster, target, *kind, name).await {
        Ok(selection) => Some(selection),
        Err(error) => {
            tracing::debug!(%error, %target, "it cannot be followed just now");
            None
        }
    }
}

/// The sets that one selection gives, until it is time to select again.
fn sets(
    cluster: &Cluster,
    target: &Target,
    selection: Selection,
) -> impl Stream<Item = Vec<TargetPod>> + Send + use<> {
    let api: Api<Pod> = Api::namespaced(cluster.client(), cluster.namespace());
    let container = match target {
        Target::Named { container, .. } => container.clone(),
        Target::Targetless => None,
    };
    let config = match (&selection.pod, &selection.labels) {
        (Some(pod), _) => watcher::Config::default().fields(&format!("metadata.name={pod}")),
        (None, labels) => watcher::Config::default().labels(labels.as_deref().unwrap_or_default()),
    };
    let events = watcher(api, config.any_semantic()).default_backoff();
    let mut pods = Pods::default();
    let sets = events.filter_map(move |event| {
        let is_whole = match event {
            Ok(event) => pods.handle(event),
            Err(error) => {
                tracing::debug!(%error, "the pods cannot be watched just now");
                false
            }
        };
        let set = is_whole.then(|| {
            let admitted: Vec<Pod> =
                pods.known.values().filter(|pod| selection.admits(pod)).cloned().collect();
            ready(&admitted, container.as_deref())
        });
        futures::future::ready(set)
    });
    sets.take_until(tokio::time::sleep(SELECT_AGAIN))
}

/// What is known of the selected pods.
#[derive(Default)]
struct Pods {
    known: BTreeMap<String, Pod>,
    /// A list that is being read: only whole it replaces what is known.
    list: BTreeMap<String, Pod>,
    is_listed: bool,
}

impl Pods {
    /// Takes an event in; tells whether all that is known is whole now.
    fn handle(&mut self, event: watcher::Event<Pod>) -> bool {
        let name = |pod: &Pod| candidate::name(pod).to_owned();
        match event {
            watcher::Event::Init => {
                self.list.clear();
                return false;
            }
            watcher::Event::InitApply(pod) => {
                self.list.insert(name(&pod), pod);
                return false;
            }
            watcher::Event::InitDone => {
                self.known = std::mem::take(&mut self.list);
                self.is_listed = true;
                return true;
            }
            watcher::Event::Apply(pod) => {
                self.known.insert(name(&pod), pod);
            }
            watcher::Event::Delete(pod) => {
                self.known.remove(&name(&pod));
            }
        }
        self.is_listed
    }
}

/// Leaves out what is as it was.
fn changes<T: Clone + PartialEq + Send>(
    values: impl Stream<Item = T> + Send,
) -> impl Stream<Item = T> + Send {
    let mut last = None;
    values.filter(move |value| {
        let is_news = last.as_ref() != Some(value);
        if is_news {
            last = Some(value.clone());
        }
        futures::future::ready(is_news)
    })
}

#[cfg(test)]
mod tests;
