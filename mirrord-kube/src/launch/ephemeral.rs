//! An agent as a container of the target's own pod, in whichever way the cluster's age allows.
//!
//! Since 1.22 it is a patch of the pod's list. Before, the subresource held an object of a kind of its own, on which
//! that patch changes nothing: the answer tells by its kind. There the containers could have no privileges yet.

use hyper::{Request, header::CONTENT_TYPE};
use k8s_openapi::api::core::v1::{EphemeralContainer, Pod};
use kube::{Api, Resource};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    birth::{Birth, Made},
    problem::LaunchError,
    watch::Selector,
};
use crate::{
    agent::{AgentPod, Step},
    client::Cluster,
    manifest::Plan,
    pod::TargetPod,
    problem::{Ask, ClusterError},
};

/// The kind before 1.22.
const OLD_KIND: &str = "EphemeralContainers";
/// How often a list is written again that somebody else has changed meanwhile.
const N_TRIES: u32 = 5;

/// Adds the agent to the pod of `target` and sees it through until it serves.
pub(super) async fn launch(
    cluster: &Cluster,
    plan: &Plan<'_>,
    target: &TargetPod,
    deadline: Instant,
    tell: &mut impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    tell(Step::Creating(format!("ephemeral container `{}` in pod `{}`", plan.name, target.name)));
    let birth = Birth {
        cluster,
        pods: Api::<Pod>::namespaced(cluster.client(), &target.namespace),
        selector: Selector::Name(target.name.clone()),
        container: plan.name,
        job: None,
        but: None,
        room: None,
        seconds: plan.options.startup_timeout,
        deadline,
    };
    let place = Place { cluster, target };
    if !place.add(&plan.ephemeral(true)).await? {
        tell(Step::Warning(
            "this cluster gives ephemeral containers no privileges: connections can be mirrored, but not stolen, \
             and files are there only where the target runs as root; a Job (`agent.ephemeral` off) can do both"
                .to_owned(),
        ));
        place.add_the_old_way(&plan.ephemeral(false)).await?;
    }
    let born = birth.see(std::future::ready(Ok(Made::default())), tell).await?;
    Ok(AgentPod {
        namespace: target.namespace.clone(),
        pod: target.name.clone(),
        job: None,
        container: plan.name.to_owned(),
        port: born.ready.port,
        key: born.ready.key,
        was_there: false,
    })
}

/// The list of ephemeral containers of one pod.
struct Place<'a> {
    cluster: &'a Cluster,
    target: &'a TargetPod,
}

impl Place<'_> {
    /// Adds `container`; false where the list is of the old kind and still as it was.
    async fn add(&self, container: &EphemeralContainer) -> Result<bool, ClusterError> {
        let change = json!({ "spec": { "ephemeralContainers": [container] } });
        match self.ask("patch", "application/strategic-merge-patch+json", &change).await {
            Ok(answer) => Ok(kind(&answer) != OLD_KIND),
            // Where the list is of the old kind, nobody needs this right.
            Err(error @ ClusterError::Forbidden { .. }) => match self.list().await {
                Ok(list) if kind(&list) == OLD_KIND => Ok(false),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Value, ClusterError> {
        self.ask("get", "application/json", &Value::Null).await
    }

    async fn add_the_old_way(&self, container: &EphemeralContainer) -> Result<(), ClusterError> {
        let mut n_tries = 0;
        loop {
            let mut list = self.list().await?;
            let Some(containers) = list
                .as_object_mut()
                .map(|list| list.entry("ephemeralContainers").or_insert_with(|| json!([])))
            else {
                return Err(LaunchError::NoEphemeral.into());
            };
            match containers {
                Value::Array(containers) => containers.push(json!(container)),
                other => *other = json!([container]),
            }
            n_tries += 1;
            match self.ask("update", "application/json", &list).await {
                Err(ClusterError::Refused { code: 409, .. }) if n_tries < N_TRIES => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    async fn ask(&self, verb: &'static str, content: &str, body: &Value) -> Result<Value, ClusterError> {
        let TargetPod { namespace, name, .. } = self.target;
        let method = match verb {
            "patch" => "PATCH",
            "update" => "PUT",
            _ => "GET",
        };
        let path = format!("{}/{name}/ephemeralcontainers", Pod::url_path(&(), Some(namespace)));
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content).body(bytes);
        let ask = Ask::new(verb, "", "pods/ephemeralcontainers").within(namespace).of(name);
        let request = request.map_err(kube::Error::HttpError);
        let client = self.cluster.client();
        let answer = self.cluster.ask(ask, async { client.request::<Value>(request?).await });
        match answer.await {
            // The pod was there a moment ago: what is not there is this part of it.
            Err(ClusterError::NotFound { .. }) => Err(LaunchError::NoEphemeral.into()),
            outcome => outcome,
        }
    }
}

fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}
