//! What is known of an agent in the cluster, with the steps of its making.

use serde::{Deserialize, Serialize};

/// Where an agent is, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPod {
    /// The namespace of its pod.
    pub namespace: String,
    /// Its pod; the target's own where it is an ephemeral container.
    pub pod: String,
    /// The Job that made the pod; none for an ephemeral container.
    pub job: Option<String>,
    /// Its container.
    pub container: String,
    /// The port on loopback that it serves.
    pub port: u16,
    /// Its public key, where it wants its clients to prove themselves.
    pub key: Option<String>,
    /// Whether somebody else's session made it.
    pub was_there: bool,
}

/// What happens while an agent is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An object is created.
    Creating(String),
    /// Something is waited for.
    Waiting(String),
    /// The user should know this.
    Warning(String),
}
