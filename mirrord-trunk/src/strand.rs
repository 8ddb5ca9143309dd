//! What a trunk asks of a connection, and of whoever can make one.

use std::{future::Future, io, pin::Pin};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection that may become a strand: TCP, a port-forward, TLS over either.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One connection between the two ends of a trunk.
pub type Strand = Box<dyn Wire>;

/// Makes strands to one far side.
///
/// On TCP it is the dialer who sets `TCP_NODELAY` and `TCP_NOTSENT_LOWAT`.
pub trait Dial: Send + Sync + 'static {
    /// A new connection to the same far side.
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>>;
}

/// Why there is no trunk.
#[derive(Debug, Error)]
pub enum TrunkError {
    /// The far side cannot be reached, or ended before it said a word.
    #[error("cannot connect to the agent")]
    Dial(#[source] io::Error),
    /// The far side does not want us; its words.
    #[error("the agent refuses the session: {0}")]
    Refused(String),
    /// The far side spoke nonsense.
    #[error("what answers is no agent of ours: {0}")]
    Nonsense(String),
}
