//! The proxy's end of a trunk: it dials, and opens lanes.

use std::{io, os::unix::net::UnixStream, time::Duration};

use tokio::sync::mpsc;

use crate::strand::{Dial, TrunkError};

/// How the near end holds its trunk.
#[derive(Clone, Copy, Debug)]
pub struct NearOptions {
    /// How many strands are wanted; the session begins with the first one that stands.
    pub n_strands: usize,
    /// How long a trunk whose strands are all cut tries to get a new one.
    pub patience: Duration,
    /// After how long a silence a strand is asked whether it lives; twice that without an answer, and it counts as cut.
    pub keep_alive: Duration,
}

impl Default for NearOptions {
    fn default() -> Self {
        Self { n_strands: 4, patience: Duration::from_secs(30), keep_alive: Duration::from_secs(5) }
    }
}

/// What befalls a trunk, as its near end sees it. After [`NearEvent::Lost`], or after [`Near::part`] when all is
/// delivered, the events end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NearEvent {
    /// All strands are cut, and why; a new one is being dialled. Lanes wait.
    Away(String),
    /// A strand stands again, after so long; nothing is lost.
    Back(Duration),
    /// The trunk is over, and why; all lanes are broken.
    Lost(String),
}

/// The near end of a trunk. Clones are the same end.
#[derive(Clone, Debug)]
pub struct Near(());

impl Near {
    /// Dials the first strand and greets the far side; further strands are dialled in the background.
    ///
    /// # Errors
    /// When the first strand cannot be had, or the far side refuses.
    pub async fn connect(
        dial: impl Dial,
        options: NearOptions,
    ) -> Result<(Self, mpsc::UnboundedReceiver<NearEvent>), TrunkError> {
        let _ = (options, dial.dial().await.map_err(TrunkError::Dial)?);
        Err(TrunkError::Dial(io::ErrorKind::Unsupported.into()))
    }

    /// A new lane: our end of a pair of sockets, which does not block. Never waits for the far side.
    ///
    /// # Errors
    /// `EPIPE` when the trunk is over, `EMFILE` when it has too many lanes, or what the kernel says.
    pub fn open(&self) -> io::Result<UnixStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How long a word takes to the far side and back, over the strand of small things.
    ///
    /// # Errors
    /// When the trunk is over before the answer has come.
    #[expect(clippy::unused_async, reason = "to be filled")]
    pub async fn round_trip(&self) -> io::Result<Duration> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Goes in order: what was written to lanes so far is delivered, the far side is told, and the events end.
    pub fn part(&self) {}
}
