//! What is known of an agent in the cluster, with the steps of its making.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

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
    /// There is a pod for it: whoever reaches the agent before the cluster knows that it runs may say so.
    Seen(AgentPod, Opened),
}

/// By which it is told that an agent serves, because it was reached.
#[derive(Clone, Debug, Default)]
pub struct Opened(Arc<Notify>);

impl Opened {
    /// It was reached: nothing more needs to be heard of it.
    pub fn tell(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn told(&self) {
        self.0.notified().await;
    }
}

impl PartialEq for Opened {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Opened {}
