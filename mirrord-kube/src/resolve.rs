//! A target becomes a running pod and container.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use mirrord_core::target::{Kind, Target};

use crate::{
    absent,
    candidate::{self, Choice, Unfit},
    client::Cluster,
    pod::{Found, Mesh, TargetPod},
    problem::{Ask, ClusterError},
    selection::{self, Selection},
};

/// Finds the pods of `target`: a ready one to be taken, and further ready ones.
///
/// A pod takes one round trip; a workload two: what it selects, and that.
///
/// # Errors
///
/// Why there is no such target, or none of its pods can be taken.
pub async fn find(cluster: &Cluster, target: &Target) -> Result<Found, ClusterError> {
    let Target::Named { kind, name, container } = target else {
        return Err(ClusterError::NotInACluster(target.to_string()));
    };
    let selection = selection::select(cluster, target, *kind, name).await?;
    let pods = pods(cluster, target, &selection).await?;
    let wanted = container.as_deref();
    let ready = ready(&pods, wanted);
    let mut ready = ready.into_iter();
    let Some(representative) = ready.next() else {
        return Err(none_is_ready(cluster, target, &selection, &pods).await);
    };
    let pod = pods.iter().find(|pod| candidate::name(pod) == representative.name);
    let notes = pod.map(|pod| notes(pod, *kind, name, wanted)).unwrap_or_default();
    Ok(Found { representative, others: ready.collect(), notes })
}

/// The pods of `pods` that can be taken, with the one for all first: of those to which Services lead, the oldest.
#[must_use]
pub fn ready(pods: &[Pod], container: Option<&str>) -> Vec<TargetPod> {
    let mut ready: Vec<(&Pod, TargetPod)> =
        pods.iter().filter_map(|pod| Some((pod, candidate::judge(pod, container).ok()?))).collect();
    ready.sort_by_key(|(pod, it)| {
        (!candidate::is_ready(pod), pod.metadata.creation_timestamp.clone(), it.name.clone())
    });
    ready.into_iter().map(|(_, it)| it).collect()
}

/// The pods that are selected, in whatever state.
async fn pods(cluster: &Cluster, target: &Target, selection: &Selection) -> Result<Vec<Pod>, ClusterError> {
    let api: Api<Pod> = Api::namespaced(cluster.client(), cluster.namespace());
    if let Some(name) = &selection.pod {
        let ask = Ask::new("get", "", "pods").within(cluster.namespace()).of(name);
        return match cluster.ask(ask, api.get(name)).await {
            Ok(pod) => Ok(vec![pod]),
            Err(ClusterError::NotFound { .. }) => Err(absent::explain(cluster, target).await),
            Err(error) => Err(error),
        };
    }
    let ask = Ask::new("list", "", "pods").within(cluster.namespace());
    let params = ListParams::default().labels(selection.labels.as_deref().unwrap_or_default());
    let mut pods = cluster.ask(ask, api.list(&params)).await?.items;
    pods.retain(|pod| selection.admits(pod));
    Ok(pods)
}

/// What the user should be warned of.
fn notes(pod: &Pod, kind: Kind, name: &str, wanted: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Ok(Choice { container, among }) = candidate::choose(pod, wanted)
        && let Some(other) = among.iter().find(|name| **name != container)
    {
        let names: Vec<String> = among.iter().map(|name| format!("`{name}`")).collect();
        notes.push(format!(
            "the pod `{}` has several containers ({}): `{container}` was taken; `--target {}/{name}/container/{other}` takes another",
            candidate::name(pod),
            names.join(", "),
            kind.name(),
        ));
    }
    if let Ok(mesh) = candidate::judge(pod, wanted).map(|it| it.mesh)
        && let Some(mesh) = mesh
    {
        let pod = candidate::name(pod);
        notes.push(match mesh {
            Mesh::IstioAmbient => format!(
                "the pod `{pod}` is part of the service mesh Istio (ambient), whose node takes its connections first: `agent.privileged` may be needed to see them"
            ),
            Mesh::Istio | Mesh::IstioCni => through("Istio", pod),
            Mesh::Linkerd => through("Linkerd", pod),
            Mesh::Kuma => through("Kuma", pod),
        });
    }
    let names = pod.spec.as_ref().map(candidate::container_names).unwrap_or_default();
    if names.iter().any(|name| name == "traffic-agent") {
        notes.push(format!(
            "Telepresence has its `traffic-agent` in the pod `{}`, and may answer its connections first",
            candidate::name(pod)
        ));
    }
    notes
}

fn through(mesh: &str, pod: &str) -> String {
    format!(
        "the pod `{pod}` is part of the service mesh {mesh}: connections reach the application through a sidecar"
    )
}

/// Why none of a target's pods can be taken.
async fn none_is_ready(
    cluster: &Cluster,
    target: &Target,
    selection: &Selection,
    pods: &[Pod],
) -> ClusterError {
    let namespace = cluster.namespace().to_owned();
    let (Target::Named { container, .. }, name) = (target, target.to_string()) else {
        return ClusterError::NotInACluster(target.to_string());
    };
    let Some(first) = pods.first() else {
        if let Some(problem) = absent::namespace(cluster).await {
            return problem;
        }
        let (why, hint) = selection.emptiness.clone().unwrap_or_else(|| {
            let labels = selection.labels.as_deref().unwrap_or_default();
            let hint =
                format!("`kubectl get pods -n {namespace} --show-labels` lists the pods with their labels");
            (format!("no pod has its labels (`{labels}`)"), hint)
        });
        return ClusterError::NoReadyPod { target: name, namespace, why, hint };
    };
    let mut reasons = Vec::new();
    for pod in pods {
        let pod_name = candidate::name(pod).to_owned();
        match candidate::judge(pod, container.as_deref()) {
            Err(Unfit::NoContainer(there)) => {
                let container = container.clone().unwrap_or_default();
                return ClusterError::NoSuchContainer { container, pod: pod_name, there };
            }
            Err(Unfit::Runtime(container, runtime)) => {
                return ClusterError::Runtime { container, pod: pod_name, runtime };
            }
            Err(Unfit::NotReady(why)) => reasons.push((pod_name, why)),
            Ok(_) => {}
        }
    }
    let hint = format!("`kubectl describe pod {} -n {namespace}` tells more", candidate::name(first));
    ClusterError::NoReadyPod { target: name, namespace, why: told(reasons), hint }
}

/// A few of the reasons, each with one of its pods, and how many pods more there are.
fn told(reasons: Vec<(String, String)>) -> String {
    const MOST: usize = 3;
    let n_pods = reasons.len();
    let mut different: Vec<(String, String)> = Vec::new();
    for (pod, why) in reasons {
        if different.len() < MOST && different.iter().all(|(_, known)| *known != why) {
            different.push((pod, why));
        }
    }
    let n_more = n_pods - different.len();
    let told = different.iter().map(|(pod, why)| format!("`{pod}`: {why}")).collect::<Vec<_>>().join("; ");
    if n_more == 0 { told } else { format!("{told}; and {n_more} more") }
}

#[cfg(test)]
mod tests;
