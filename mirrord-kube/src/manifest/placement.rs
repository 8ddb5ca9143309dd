//! Where an agent's pod runs.

use k8s_openapi::api::core::v1::{PodSpec, Toleration};
use mirrord_core::cluster::AgentOptions;

use super::read;
use crate::{launch::problem::LaunchError, pod::TargetPod};

/// `spec` on the target's node, where it sees the target's process; or wherever the user wants it.
///
/// # Errors
/// When the tolerations are none.
pub fn place(
    spec: PodSpec,
    options: &AgentOptions,
    target: Option<&TargetPod>,
) -> Result<PodSpec, LaunchError> {
    let tolerations = match (&options.tolerations, target) {
        (Some(text), _) => Some(read("agent.tolerations", text)?),
        (None, Some(_)) => Some(vec![everything()]),
        (None, None) => None,
    };
    if let Some(target) = target {
        return Ok(PodSpec {
            host_pid: Some(true),
            node_name: Some(target.node.clone()),
            tolerations,
            ..spec
        });
    }
    let selector = (!options.node_selector.is_empty()).then(|| options.node_selector.clone());
    Ok(PodSpec { node_selector: selector, tolerations, ..spec })
}

/// The target tolerates its node, whatever that is tainted with.
fn everything() -> Toleration {
    Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() }
}
