//! Strands to an agent: each a port-forward, and within it TLS where others share the agent's loopback.

use std::{future::Future, io, net::SocketAddr, pin::Pin};

use mirrord_kube::port_forward::PortForward;
use mirrord_trunk::{
    Dial, Strand,
    pinned::{self, Identity, PublicKey},
};
use tokio::net::TcpStream;

/// Dials an agent in a cluster.
pub(super) struct PodDial {
    pub(super) way: PortForward,
    /// Its public key, where it wants to see ours.
    pub(super) key: Option<String>,
    pub(super) identity: Option<Identity>,
}

/// Dials an agent, wherever it is.
pub(super) enum AnyDial {
    /// In a cluster.
    Pod(Box<PodDial>),
    /// Where it listens.
    Address(SocketAddr),
}

impl Dial for AnyDial {
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>> {
        match self {
            Self::Pod(pod) => Box::pin(pod.strand()),
            Self::Address(address) => Box::pin(async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream) as Strand)
            }),
        }
    }
}

impl PodDial {
    async fn strand(&self) -> io::Result<Strand> {
        let strand: Strand = Box::new(self.way.connect().await.map_err(io::Error::other)?);
        match (&self.key, &self.identity) {
            (Some(key), Some(identity)) => {
                let theirs: PublicKey = key.parse().map_err(io::Error::other)?;
                pinned::connect(strand, identity, &theirs).await
            }
            (Some(_), None) => Err(io::Error::other("the agent wants a key, and the session has none")),
            (None, _) => Ok(strand),
        }
    }
}
