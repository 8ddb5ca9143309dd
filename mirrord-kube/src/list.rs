//! What could be a target.

use mirrord_core::target::{Kind, Target};

use crate::{client::Cluster, problem::ClusterError};

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

/// What is listed, in this order, when no kinds are named.
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

/// Lists targets of `kinds`; of all where there are none.
pub async fn targets(cluster: &Cluster, kinds: &[Kind]) -> Result<Listed, ClusterError> {
    let _ = (cluster, kinds);
    todo!("targets")
}

/// Lists the names of the namespaces.
pub async fn namespaces(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let _ = cluster;
    todo!("namespaces")
}
