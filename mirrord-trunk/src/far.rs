//! The agent's end: it takes strands in, and serves the trunks that they belong to.

use std::time::Duration;

use tokio::{net::UnixStream, sync::mpsc};

use crate::{TrunkId, strand::Strand};

/// How the far end holds its trunks.
#[derive(Clone, Copy, Debug)]
pub struct FarOptions {
    /// How long a trunk whose strands are all cut waits for a new one.
    pub patience: Duration,
}

impl Default for FarOptions {
    fn default() -> Self {
        Self { patience: Duration::from_secs(30) }
    }
}

/// How a near side has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It has delivered all, and said so.
    InOrder,
    /// It was cut off and did not come back, or it spoke nonsense.
    Suddenly,
}

/// What befalls the trunks, as their far end sees it.
#[derive(Debug)]
pub enum FarEvent {
    /// The near side has opened a lane: our end of it. It does not block.
    Lane(TrunkId, UnixStream),
    /// All strands of this trunk are cut.
    Away(TrunkId),
    /// It has a strand again.
    Back(TrunkId),
    /// It is over.
    Ended(TrunkId, Parting),
}

/// The far end of many trunks. Clones are the same end.
#[derive(Clone, Debug)]
pub struct Far(());

impl Far {
    /// An end that has no trunk yet, and what will befall it.
    #[must_use]
    pub fn new(options: FarOptions) -> (Self, mpsc::UnboundedReceiver<FarEvent>) {
        let _ = options;
        (Self(()), mpsc::unbounded_channel().1)
    }

    /// Takes a new connection in; it says itself which trunk it belongs to. Must be called within a runtime.
    pub fn take_in(&self, strand: Strand) {
        drop(strand);
    }

    /// Delivers what was written to lanes so far, within a bound, and tells all near sides that this end goes.
    #[expect(clippy::unused_async, reason = "to be filled")]
    pub async fn shutdown(&self) {}
}
