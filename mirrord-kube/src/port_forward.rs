//! A strand to the agent through the API server.
//!
//! Port-forwarding is a WebSocket whose messages begin with the number of a channel: 0 carries bytes both ways, 1
//! words of failure from there, and the first message on each is the port again. `kube` has a forwarder of its own,
//! which hands bytes through two tasks and cuts what is sent into pieces of 4 KiB, and what is beneath it fills its
//! buffer with zeros before each read; here the connection itself is the strand, and its frames are read in place. A server, or a proxy before it, that refuses to switch to WebSocket is left to `kubectl`, which also speaks
//! what was before it.

mod child;
mod frame;
mod socket;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, client::UpgradeConnectionError, core::Request};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
};

use self::{child::Child, socket::Socket};
use crate::{
    agent::AgentPod,
    client::Cluster,
    problem::{Ask, ClusterError},
};

/// What `kube` calls an answer that is not in the API server's form.
const NO_STATUS: &str = "Failed to parse error data";

/// Why a port of a pod is not reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The way has no WebSocket, and there is no `kubectl`.
    #[error("the way to the API server does not let a WebSocket through, and `kubectl` cannot be started")]
    NoKubectl {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The way has no WebSocket, and `kubectl` does not get through either.
    #[error("`kubectl port-forward` to pod `{pod}` failed: {words}")]
    Kubectl {
        /// The pod.
        pod: String,
        /// The last that it said.
        words: String,
    },
}

impl ForwardError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoKubectl { .. } => {
                "put `kubectl` into `PATH`, or let whoever runs the proxy before the API server allow WebSocket"
                    .to_owned()
            }
            Self::Kubectl { pod, .. } => format!("try it by hand: `kubectl port-forward pod/{pod} :PORT`"),
        })
    }
}

/// A connection to a port of a pod.
pub trait Forwarded: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Forwarded for T {}

/// The way to one agent, by which any number of strands are had. Clones share what the way turned out to be.
#[derive(Clone)]
pub struct PortForward {
    cluster: Cluster,
    agent: AgentPod,
    child: Arc<Mutex<Option<Arc<Child>>>>,
    /// Whether a WebSocket has ever stood: then the way lets them through, and a refusal is about the pod.
    has_stood: Arc<AtomicBool>,
}

impl PortForward {
    /// To the port that `agent` serves.
    #[must_use]
    pub fn new(cluster: &Cluster, agent: &AgentPod) -> Self {
        Self {
            cluster: cluster.clone(),
            agent: agent.clone(),
            child: Arc::default(),
            has_stood: Arc::default(),
        }
    }

    /// The same, where whatever is refused is about the pod: it may not be there yet.
    #[must_use]
    pub fn early(cluster: &Cluster, agent: &AgentPod) -> Self {
        let this = Self::new(cluster, agent);
        this.has_stood.store(true, Relaxed);
        this
    }

    /// A new strand. That nobody listens at its end shows when it is read.
    ///
    /// # Errors
    /// When the API server is not reached or refuses.
    pub async fn connect(&self) -> Result<Box<dyn Forwarded>, ClusterError> {
        let mut child = self.child.lock().await;
        if child.is_none() {
            drop(child);
            match self.upgrade().await {
                Ok(socket) => {
                    self.has_stood.store(true, Relaxed);
                    return Ok(socket);
                }
                Err(error) if is_no_way(&error) && !self.has_stood.load(Relaxed) => {
                    tracing::info!(%error, "no WebSocket to the API server: trying `kubectl port-forward`");
                }
                Err(error) => return Err(self.cluster.problem(self.ask(&error), error)),
            }
            child = self.child.lock().await;
        }
        let living = match child.take().filter(|child| child.lives()) {
            Some(living) => living,
            None => Arc::new(Child::start(self.cluster.options(), &self.agent).await?),
        };
        let strand = child::connect(&living).await?;
        *child = Some(living);
        Ok(Box::new(strand))
    }

    async fn upgrade(&self) -> Result<Box<dyn Forwarded>, kube::Error> {
        let path = Pod::url_path(&(), Some(&self.agent.namespace));
        let request = Request::new(path)
            .portforward(&self.agent.pod, &[self.agent.port])
            .map_err(kube::Error::BuildRequest)?;
        let connection = self.cluster.client().connect(request).await?;
        // Nothing was read of it yet.
        Ok(Box::new(Socket::new(connection.into_stream().into_inner(), self.agent.port)))
    }

    /// A WebSocket is asked for by `get`, for which newer API servers want the right to `create` as well.
    fn ask(&self, error: &kube::Error) -> Ask {
        let wants_create =
            matches!(error, kube::Error::Api(status) if status.message.contains("cannot create"));
        let verb = if wants_create { "create" } else { "get" };
        Ask::new(verb, "", "pods/portforward").within(&self.agent.namespace).of(&self.agent.pod)
    }
}

/// One strand to `agent`.
///
/// # Errors
/// As of [`PortForward::connect`].
pub async fn connect(cluster: &Cluster, agent: &AgentPod) -> Result<Box<dyn Forwarded>, ClusterError> {
    PortForward::new(cluster, agent).connect().await
}

/// Whether it is the WebSocket that somebody on the way does not like. An API server says in an object of its own why
/// it refuses, which `kubectl` would hear as well; who answers with other words is not it.
fn is_no_way(error: &kube::Error) -> bool {
    match error {
        kube::Error::UpgradeConnection(error) => {
            !matches!(error, UpgradeConnectionError::GetPendingUpgrade(_))
        }
        kube::Error::Api(status) => status.code != 401 && status.reason == NO_STATUS,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
