//! What could be a target.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use mirrord_core::target::{Kind, Target};
use serde_json::Value;

use crate::{
    candidate,
    client::Cluster,
    problem::{Ask, ClusterError},
};

/// Something that could be a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The target.
    pub target: Target,
    /// Whether a pod of it runs at this moment.
    pub is_available: bool,
}

/// What there is to choose from, and what could not be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The choices, kind by kind in the order of [`KINDS`].
    pub choices: Vec<Choice>,
    /// What the user should be warned of: kinds that may not be listed.
    pub notes: Vec<String>,
}

/// What is listed, in this order.
pub const KINDS: &[Kind] = &[
    Kind::Deployment,
    Kind::Rollout,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Job,
    Kind::Pod,
    Kind::Service,
    Kind::ReplicaSet,
];

/// Lists targets of `kinds`; of all where none are named. What may not be listed becomes a note, unless it is all.
///
/// # Errors
///
/// Why nothing can be listed.
pub async fn targets(cluster: &Cluster, kinds: &[Kind]) -> Result<Listed, ClusterError> {
    let kinds = KINDS.iter().filter(|kind| kinds.is_empty() || kinds.contains(kind));
    let answers = join_all(kinds.map(|kind| of_kind(cluster, *kind))).await;
    let mut listed = Listed::default();
    let mut first_refusal = None;
    let mut n_answers = 0_usize;
    for answer in answers {
        match answer {
            Ok(entries) => {
                n_answers += 1;
                listed.choices.extend(entries.into_iter().flat_map(Entry::choices));
            }
            Err(error @ ClusterError::Forbidden { .. }) => {
                listed.notes.push(error.to_string());
                first_refusal = first_refusal.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    match first_refusal {
        Some(error) if n_answers == 0 => Err(error),
        _ => Ok(listed),
    }
}

/// Lists the names of the namespaces.
///
/// # Errors
///
/// Why they cannot be listed: developers are often not allowed to.
pub async fn namespaces(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let api: Api<Namespace> = Api::all(cluster.client());
    let ask = Ask::new("list", "", "namespaces");
    let list = cluster.ask(ask, api.list(&ListParams::default())).await?;
    Ok(list.items.iter().map(ResourceExt::name_any).collect())
}

/// Whether Argo Rollouts is there, or nobody will say.
pub(crate) async fn knows_rollouts(cluster: &Cluster) -> bool {
    !matches!(objects(cluster, Kind::Rollout).await, Err(ClusterError::NotFound { .. }))
}

/// One object, as far as it matters.
struct Entry {
    kind: Kind,
    name: String,
    containers: Vec<String>,
    is_available: bool,
}

impl Entry {
    /// The object, and where it has several containers, each.
    fn choices(self) -> Vec<Choice> {
        let Self { kind, name, containers, is_available } = self;
        let applications = candidate::without_sidecars(&containers);
        let several = if applications.len() > 1 { applications } else { Vec::new() };
        let containers = std::iter::once(None).chain(several.into_iter().map(Some));
        let target = |container| Target::Named { kind, name: name.clone(), container };
        containers.map(|container| Choice { target: target(container), is_available }).collect()
    }
}

async fn of_kind(cluster: &Cluster, kind: Kind) -> Result<Vec<Entry>, ClusterError> {
    let objects = match objects(cluster, kind).await {
        // A cluster without Argo Rollouts.
        Err(ClusterError::NotFound { .. }) if kind == Kind::Rollout => return Ok(Vec::new()),
        answer => answer?,
    };
    let mut entries: Vec<Entry> = objects.iter().map(|object| entry(kind, object)).collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// Where a kind is found: its group, version, kind and plural.
fn place(kind: Kind) -> (&'static str, &'static str, &'static str, &'static str) {
    match kind {
        Kind::Deployment => ("apps", "v1", "Deployment", "deployments"),
        Kind::Rollout => ("argoproj.io", "v1alpha1", "Rollout", "rollouts"),
        Kind::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
        Kind::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
        Kind::CronJob => ("batch", "v1", "CronJob", "cronjobs"),
        Kind::Job => ("batch", "v1", "Job", "jobs"),
        Kind::Service => ("", "v1", "Service", "services"),
        Kind::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
        _ => ("", "v1", "Pod", "pods"),
    }
}

async fn objects(cluster: &Cluster, kind: Kind) -> Result<Vec<DynamicObject>, ClusterError> {
    let (group, version, name, plural) = place(kind);
    let answer = objects_of(cluster, group, version, name, plural).await;
    match answer {
        // Until Kubernetes 1.21 there was only `v1beta1`.
        Err(ClusterError::NotFound { .. }) if kind == Kind::CronJob => {
            objects_of(cluster, group, "v1beta1", name, plural).await
        }
        answer => answer,
    }
}

async fn objects_of(
    cluster: &Cluster,
    group: &'static str,
    version: &str,
    kind: &str,
    plural: &'static str,
) -> Result<Vec<DynamicObject>, ClusterError> {
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), cluster.namespace(), &kind);
    let ask = Ask::new("list", group, plural).within(cluster.namespace());
    Ok(cluster.ask(ask, api.list(&ListParams::default())).await?.items)
}

fn entry(kind: Kind, object: &DynamicObject) -> Entry {
    let (spec, status) = (&object.data["spec"], &object.data["status"]);
    let pod_spec = match kind {
        Kind::Pod => spec,
        Kind::CronJob => &spec["jobTemplate"]["spec"]["template"]["spec"],
        _ => &spec["template"]["spec"],
    };
    let at_least_one = |count: &Value| count.as_i64().unwrap_or(0) > 0;
    let is_available = match kind {
        Kind::Pod => status["phase"] == "Running" && object.metadata.deletion_timestamp.is_none(),
        Kind::Deployment | Kind::Rollout => at_least_one(&status["availableReplicas"]),
        Kind::StatefulSet | Kind::ReplicaSet => at_least_one(&status["readyReplicas"]),
        Kind::DaemonSet => at_least_one(&status["numberReady"]),
        Kind::Job => at_least_one(&status["active"]),
        Kind::CronJob => status["active"].as_array().is_some_and(|active| !active.is_empty()),
        _ => spec["selector"].as_object().is_some_and(|selector| !selector.is_empty()),
    };
    let containers = pod_spec["containers"].as_array();
    let names = containers.into_iter().flatten().filter_map(|it| it["name"].as_str().map(str::to_owned));
    Entry { kind, name: object.name_any(), containers: names.collect(), is_available }
}

#[cfg(test)]
mod tests;
