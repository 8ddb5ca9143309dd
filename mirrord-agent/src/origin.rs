//! Whence lanes come: one origin for each proxy, which may go in its own way.

use std::time::Duration;

use mirrord_protocol::fault::Fault;
use mirrord_trunk::Parting;
use tokio::sync::watch;

/// How long a session that has ended may wait to learn how its proxy has gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OriginId(pub(crate) u64);

/// A proxy.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Its number.
    pub(crate) id: OriginId,
    /// Whether descriptors can ride along: only where it is on the same machine.
    passes: bool,
    /// How it has gone, once it has.
    gone: watch::Sender<Option<Parting>>,
}

impl Origin {
    /// A proxy that is there.
    pub(crate) fn new(id: OriginId, passes: bool) -> Self {
        Self { id, passes, gone: watch::Sender::default() }
    }

    /// Whether it can be given a descriptor.
    ///
    /// # Errors
    /// `EOPNOTSUPP`: whatever rode along would be lost.
    pub(crate) fn takes_descriptors(&self) -> Result<(), Fault> {
        if self.passes {
            return Ok(());
        }
        Err(Fault::with_words(libc::EOPNOTSUPP, "descriptors cannot be passed to another machine"))
    }

    /// It has gone. Only the first time counts.
    pub(crate) fn leave(&self, how: Parting) {
        self.gone.send_if_modified(|gone| gone.is_none() && gone.replace(how).is_none());
    }

    /// Waits until its lanes are to be cut: never, if it parts in order. Then each has its own end.
    pub(crate) async fn cut(&self) {
        let mut gone = self.gone.subscribe();
        let known = tokio::time::timeout(PATIENCE, gone.wait_for(Option::is_some)).await;
        if known.is_ok_and(|known| known.is_ok_and(|gone| *gone == Some(Parting::InOrder))) {
            std::future::pending::<()>().await;
        }
    }
}
