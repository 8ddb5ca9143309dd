//! An agent is created, waited for and heard.

use mirrord_core::cluster::AgentOptions;

use crate::{AgentPod, Cluster, ClusterError, Step, TargetPod};

/// Makes an agent beside `target`, or shares the one that another session has made. Dropped before its end, it leaves
/// nothing behind.
///
/// # Errors
/// When no agent serves in the end.
#[expect(clippy::unused_async, reason = "to be filled")]
pub async fn launch(
    _cluster: &Cluster,
    _options: &AgentOptions,
    _target: Option<&TargetPod>,
    _client_key: Option<String>,
    _owner: &str,
    _tell: impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    todo!("launch")
}

/// The same, when `ended` turned out to serve no longer.
///
/// # Errors
/// As of [`launch`].
#[expect(clippy::unused_async, reason = "to be filled")]
pub async fn launch_again(
    _cluster: &Cluster,
    _options: &AgentOptions,
    _target: Option<&TargetPod>,
    _client_key: Option<String>,
    _owner: &str,
    _ended: &AgentPod,
    _tell: impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    todo!("launch again")
}
