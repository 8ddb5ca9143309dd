//! A kubeconfig becomes a client.

use mirrord_core::cluster::ClusterOptions;

use crate::problem::{Ask, ClusterError};

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    namespace: String,
    address: String,
}

impl Cluster {
    /// Reads the kubeconfig and prepares to ask; nothing is asked yet.
    pub async fn connect(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let _ = options;
        todo!("connect")
    }

    /// Where targets are looked for.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// By which it is asked.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// What it means that `error` was the answer to `ask`.
    #[must_use]
    pub fn problem(&self, ask: Ask, error: kube::Error) -> ClusterError {
        ClusterError::of(ask, error, &self.address)
    }
}
