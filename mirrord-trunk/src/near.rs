//! The proxy's end of a trunk: it dials, and opens lanes.

use std::{fmt, io, os::unix::net::UnixStream, sync::Arc, time::Duration};

use mirrord_core::trunk::{Side, Terms};
use mirrord_protocol::trunk::{Cutter, Join, StrandId, TrunkId};
use rustix::{io::Errno, rand::GetRandomFlags};
use tokio::sync::mpsc;

use crate::{
    carrier::{Carrier, Tidings},
    greet::{self, Greeted},
    strand::{Dial, Strand, TrunkError},
};

/// How long a strand may take until its greeting is answered.
const DIAL: Duration = Duration::from_secs(10);

/// How long is waited after a strand could not be had: at first, at most while there is none, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const AWAY_PAUSE: Duration = Duration::from_secs(2);
const IDLE_PAUSE: Duration = Duration::from_secs(30);

/// What is said when the far side has forgotten us.
const UNKNOWN: &str =
    "the agent does not know this session any more: it was started anew, or has waited for too long";

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
#[derive(Clone)]
pub struct Near {
    carrier: Arc<Carrier>,
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Near")
    }
}

impl Near {
    /// Dials the first strand and greets the far side; further strands are dialled in the background.
    ///
    /// # Errors
    /// When the first strand cannot be had, or the far side refuses.
    pub async fn connect(
        dial: impl Dial,
        options: NearOptions,
    ) -> Result<(Self, mpsc::UnboundedReceiver<NearEvent>), TrunkError> {
        let mut key = [0; 16];
        rustix::rand::getrandom(&mut key, GetRandomFlags::empty())
            .map_err(|errno| TrunkError::Dial(errno.into()))?;
        let mut keeper = Keeper { dial, options, trunk: TrunkId(key), next: StrandId(0) };
        let (strand, wire, cutter) = match keeper.strand(&[], true).await? {
            Called::Welcome(strand, wire, cutter) => (strand, wire, cutter),
            Called::Unknown => return Err(TrunkError::Refused(UNKNOWN.to_owned())),
        };
        let (events_tx, events_rx) = mpsc::unbounded_channel();
        let terms = Terms { keep_alive: options.keep_alive, patience: options.patience };
        // The first strand is no return.
        let mut is_back = false;
        let tell = move |tidings| {
            let event = match tidings {
                Tidings::Away(why) => NearEvent::Away(why),
                Tidings::Back(after) if std::mem::replace(&mut is_back, true) => NearEvent::Back(after),
                Tidings::Lane(_) | Tidings::Back(_) => return,
                Tidings::Parted => NearEvent::Lost("the agent has ended".to_owned()),
                Tidings::Lost(why) => NearEvent::Lost(why),
            };
            let _ = events_tx.send(event);
        };
        let carrier = Carrier::new(Side::Near, terms, Box::new(tell));
        carrier.add_strand(strand, wire, cutter);
        tokio::spawn(keeper.keep(carrier.clone()));
        Ok((Self { carrier }, events_rx))
    }

    /// A new lane: our end of a pair of sockets, which does not block. Never waits for the far side, which hears of the
    /// lane with its first bytes. May be called on any thread.
    ///
    /// # Errors
    /// `EPIPE` when the trunk is over, `EMFILE` when it has too many lanes, or what the kernel says.
    pub fn open(&self) -> io::Result<UnixStream> {
        self.carrier.open()
    }

    /// How long a word takes to the far side and back, over the strand of small things.
    ///
    /// # Errors
    /// When the trunk is over before the answer has come.
    pub async fn round_trip(&self) -> io::Result<Duration> {
        self.carrier.ask().await.map_err(|_| Errno::PIPE.into())
    }

    /// Goes in order: what was written to lanes so far is delivered, within a bound; the far side is told, and then the
    /// events end, which whoever is about to exit must wait for.
    pub fn part(&self) {
        drop(self.carrier.begin_parting());
    }

    /// Gives the far side up, of which it is known that it is no more: what has come of it is still delivered, and then
    /// all lanes are broken. Must be called within a runtime.
    pub fn give_up(&self, why: &str) {
        self.carrier.lose(why.to_owned());
    }
}

/// Keeps up as many strands as are wanted.
struct Keeper<D> {
    dial: D,
    options: NearOptions,
    trunk: TrunkId,
    next: StrandId,
}

enum Called {
    Welcome(StrandId, Strand, Cutter),
    Unknown,
}

impl<D: Dial> Keeper<D> {
    /// A new strand, greeted.
    async fn strand(&mut self, living: &[StrandId], is_new: bool) -> Result<Called, TrunkError> {
        let strand = self.next;
        self.next.0 += 1;
        let keep_alive = u32::try_from(self.options.keep_alive.as_millis()).unwrap_or(u32::MAX);
        let join = Join { trunk: self.trunk, strand, is_new, keep_alive, living: living.to_vec() };
        let called = async {
            let mut wire = self.dial.dial().await.map_err(TrunkError::Dial)?;
            let greeted = greet::call(&mut wire, &join).await?;
            Ok(match greeted {
                Greeted::Welcome(cutter) => Called::Welcome(strand, wire, cutter),
                Greeted::Unknown => Called::Unknown,
            })
        };
        match tokio::time::timeout(DIAL, called).await {
            Ok(outcome) => outcome,
            Err(late) => Err(TrunkError::Dial(late.into())),
        }
    }

    /// Dials until the trunk is over: at once and often while there is no strand, at leisure while there are some.
    async fn keep(mut self, carrier: Arc<Carrier>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let changed = carrier.changed.notified();
            let (living, is_over) = carrier.standing();
            if is_over {
                return;
            }
            if living.len() >= self.options.n_strands.max(1) {
                pause = FIRST_PAUSE;
                changed.await;
                continue;
            }
            let is_away = living.is_empty();
            match self.strand(&living, false).await {
                Ok(Called::Welcome(strand, wire, cutter)) => {
                    pause = FIRST_PAUSE;
                    carrier.add_strand(strand, wire, cutter);
                    continue;
                }
                Ok(Called::Unknown) => return carrier.lose(UNKNOWN.to_owned()),
                Err(TrunkError::Refused(words)) if is_away => return carrier.lose(words),
                Err(error) => tracing::debug!(%error, "no strand"),
            }
            let most = if is_away { AWAY_PAUSE } else { IDLE_PAUSE };
            let _ = tokio::time::timeout(pause.min(most), changed).await;
            pause = (pause * 2).min(IDLE_PAUSE);
        }
    }
}
