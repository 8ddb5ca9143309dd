//! Why no agent came to be, each with its hint.

use thiserror::Error;

/// Why an agent could not be made, or did not begin to serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The user's JSON is not what Kubernetes knows.
    #[error("`{key}` is not what Kubernetes expects there")]
    Option {
        /// The key of the configuration.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// An ephemeral container without a pod to be in.
    #[error("an agent without a target cannot be an ephemeral container")]
    NoPod,
    /// The cluster has no ephemeral containers.
    #[error("this cluster has no ephemeral containers")]
    NoEphemeral,
    /// The API server took the Job, but not its pod.
    #[error("the cluster refuses the agent's pod: {words}")]
    PodRefused {
        /// Its words, or those of a webhook, a policy or a quota.
        words: String,
    },
    /// The node has as many pods as it may.
    #[error("the node `{node}` has no room for the agent's pod: {words}")]
    NodeFull {
        /// The node.
        node: String,
        /// How full it is.
        words: String,
    },
    /// The node does not take the pod.
    #[error("the node `{node}` refuses the agent's pod ({reason}): {words}")]
    NodeRefused {
        /// The node.
        node: String,
        /// In one word.
        reason: String,
        /// In the node's words.
        words: String,
    },
    /// No node takes the pod.
    #[error("no node takes the agent's pod: {words}")]
    Unschedulable {
        /// The scheduler's words.
        words: String,
    },
    /// The image is not there, and cannot be fetched.
    #[error("the agent's image `{image}` cannot be had ({reason}): {words}")]
    Image {
        /// The image.
        image: String,
        /// In one word.
        reason: String,
        /// In the node's words.
        words: String,
    },
    /// The container could not be made or started.
    #[error("the node cannot start the agent's container ({reason}): {words}")]
    Container {
        /// In one word.
        reason: String,
        /// In the node's words.
        words: String,
    },
    /// The agent has ended before it served.
    #[error("the agent ended before it was ready ({how}){}", quoted(last))]
    Ended {
        /// Its exit code, or the signal, and why.
        how: String,
        /// The last that it said.
        last: Vec<String>,
    },
    /// Somebody deleted it.
    #[error("the agent's pod `{pod}` was deleted before it was ready")]
    Deleted {
        /// The pod.
        pod: String,
    },
    /// The Job that is there is another session's, and does not come to serve.
    #[error("the agent of another session does not serve")]
    Theirs {
        /// What is the matter with it.
        #[source]
        source: Box<Self>,
    },
    /// It took too long.
    #[error("the agent was not ready within {seconds} s: {last}")]
    TooLate {
        /// How long it was given.
        seconds: u64,
        /// What was seen of it last.
        last: String,
    },
}

impl LaunchError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Option { .. } => "write it as the documentation of Kubernetes does",
            Self::NoPod => "name a target, or leave out `agent.ephemeral`",
            Self::NoEphemeral => {
                "they are in Kubernetes from 1.23, and before it behind the gate `EphemeralContainers`; without \
                 `agent.ephemeral` the agent is a Job"
            }
            Self::PodRefused { .. } => {
                "docs/kubernetes.md has what the pod asks for; `agent.namespace` puts it into a namespace with \
                 other rules, `agent.disabled_capabilities` lets it ask for less, `agent.ephemeral` makes it a \
                 container of the target's pod"
            }
            Self::NodeFull { .. } => {
                "`agent.ephemeral` needs no room for a pod; or ask for more room on the node"
            }
            Self::NodeRefused { .. } => {
                "`agent.resources` and `agent.tolerations` say what the pod asks of a node"
            }
            Self::Unschedulable { .. } => {
                "`agent.tolerations`, `agent.node_selector` and `agent.resources` say what the pod asks of a node"
            }
            Self::Image { .. } => {
                "`agent.image` names an image that the node can fetch, `agent.image_pull_secrets` what it needs \
                 for that; one that was loaded into the node by hand needs `agent.image_pull_policy` other than \
                 `Always`"
            }
            Self::Container { .. } => {
                "`agent.security_context` and `agent.privileged` say how it is confined"
            }
            Self::Ended { .. } => "`agent.log_level` set to `debug` makes it tell more",
            Self::Theirs { source } => return source.hint(),
            Self::Deleted { .. } => "try again; a controller that deletes foreign Jobs would do this, too",
            Self::TooLate { .. } => "`agent.startup_timeout` gives it more time",
        };
        Some(hint.to_owned())
    }
}

/// The last lines of a log, after what they explain.
fn quoted(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; it said last:\n{}", lines.join("\n")) }
}
