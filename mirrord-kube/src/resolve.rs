//! A target becomes a running pod and container.

use mirrord_core::target::Target;

use crate::{client::Cluster, pod::Found, problem::ClusterError};

/// Finds the pods of `target`, ready ones first.
pub async fn find(cluster: &Cluster, target: &Target) -> Result<Found, ClusterError> {
    let _ = (cluster, target);
    todo!("find")
}
