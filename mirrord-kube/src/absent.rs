//! A target that is not there: what was probably meant.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use mirrord_core::{
    near::near,
    target::{Kind, Target},
};

use crate::{
    client::Cluster,
    list,
    problem::{Ask, ClusterError},
};

/// Why a target is not there.
pub(crate) async fn explain(cluster: &Cluster, target: &Target) -> ClusterError {
    let (namespace, listed) = futures::join!(namespace(cluster), list::targets(cluster, &[]));
    if let Some(problem) = namespace {
        return problem;
    }
    let targets = listed.map(|listed| listed.choices).unwrap_or_default();
    let targets: Vec<Target> = targets.into_iter().map(|choice| choice.target).collect();
    let namespace = cluster.namespace().to_owned();
    let near = meant(target, &targets);
    if near.is_empty() && is_rollout(target) && !list::knows_rollouts(cluster).await {
        return ClusterError::NoRollouts { target: target.to_string() };
    }
    ClusterError::NoSuchTarget { target: target.to_string(), namespace, near }
}

/// That the namespace is not there; nothing if it is, or if nobody will say.
pub(crate) async fn namespace(cluster: &Cluster) -> Option<ClusterError> {
    let name = cluster.namespace();
    let api: Api<Namespace> = Api::all(cluster.client());
    match cluster.ask(Ask::new("get", "", "namespaces").of(name), api.get(name)).await {
        Err(ClusterError::NotFound { .. }) => {
            let names = list::namespaces(cluster).await.unwrap_or_default();
            Some(ClusterError::NoSuchNamespace { namespace: name.to_owned(), near: near(name, names) })
        }
        _ => None,
    }
}

fn is_rollout(target: &Target) -> bool {
    matches!(target, Target::Named { kind: Kind::Rollout, .. })
}

/// Other kinds of the same name, or else similar names of the same kind, or else similar names.
fn meant(wanted: &Target, targets: &[Target]) -> Vec<String> {
    let Target::Named { kind: wanted_kind, name: wanted_name, .. } = wanted else { return Vec::new() };
    let plain = targets.iter().filter_map(|target| match target {
        Target::Named { kind, name, container: None } => Some((*kind, name.clone())),
        _ => None,
    });
    let plain: Vec<(Kind, String)> = plain.collect();
    let written = |(kind, name): &(Kind, String)| format!("{}/{name}", kind.name());
    let same_name: Vec<String> = plain.iter().filter(|(_, name)| name == wanted_name).map(written).collect();
    if !same_name.is_empty() {
        return same_name;
    }
    let of_kind = plain.iter().filter(|(kind, _)| kind == wanted_kind).map(|(_, name)| name.clone());
    let of_kind: Vec<String> = of_kind.collect();
    if of_kind.is_empty() {
        return near(&wanted.to_string(), plain.iter().map(written));
    }
    near(wanted_name, of_kind).into_iter().map(|name| format!("{}/{name}", wanted_kind.name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wanted: &str, there: &[&str]) -> Vec<String> {
        let there: Vec<Target> = there.iter().map(|text| text.parse().unwrap()).collect();
        meant(&wanted.parse().unwrap(), &there)
    }

    #[test]
    fn the_same_name_of_another_kind_was_meant() {
        assert_eq!(said("pod/web", &["deployment/web", "pod/web-1"]), ["deployment/web"]);
    }

    #[test]
    fn a_similar_name_of_the_same_kind_was_meant() {
        let there = ["deployment/web", "deployment/web/container/app", "deployment/cart", "pod/wbe-1"];
        assert_eq!(said("deployment/wbe", &there), ["deployment/web"]);
        assert_eq!(said("pod/cart", &["pod/web-1"]), ["pod/web-1"]);
        assert!(said("pod/cart", &[]).is_empty());
    }
}
