//! Agents are removed, so that nothing stays behind.

use crate::{AgentPod, Cluster};

/// Leaves `agent`, of which the session has parted.
#[expect(clippy::unused_async, reason = "to be filled")]
pub async fn remove(_cluster: &Cluster, _agent: &AgentPod) {}
