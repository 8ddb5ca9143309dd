//! A byte stream to the agent through the API server.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{AgentPod, Cluster, ClusterError};

/// A connection to a port of a pod.
pub trait Forwarded: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Forwarded for T {}

/// The way to one agent.
#[derive(Clone)]
pub struct PortForward(());

impl PortForward {
    /// To the port that `agent` serves.
    #[must_use]
    pub fn new(_cluster: &Cluster, _agent: &AgentPod) -> Self {
        Self(())
    }

    /// A new strand.
    ///
    /// # Errors
    /// When the API server is not reached or refuses.
    #[expect(clippy::unused_async, reason = "to be filled")]
    pub async fn connect(&self) -> Result<Box<dyn Forwarded>, ClusterError> {
        todo!("port-forward")
    }
}
