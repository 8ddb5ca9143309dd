//! The agent's end: it takes strands in, and serves the trunks that they belong to.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mirrord_core::trunk::{Side, Terms};
use mirrord_protocol::trunk::{Cutter, Join, Joined, TrunkId, VERSION};
use tokio::{
    net::UnixStream,
    sync::{Semaphore, mpsc},
};

use crate::{
    carrier::{Carrier, Tidings},
    greet::{self, Caller},
    strand::Strand,
};

/// How long a caller may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many callers may be about to say it.
const MAX_CALLERS: usize = 256;

/// How many strands one trunk may have, and how many trunks there may be.
const MAX_STRANDS: usize = 16;
const MAX_TRUNKS: usize = 1024;

/// What a near side may ask for as its keep-alive.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(60);

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
#[derive(Clone)]
pub struct Far(Arc<Inner>);

struct Inner {
    options: FarOptions,
    events: mpsc::UnboundedSender<FarEvent>,
    trunks: Mutex<HashMap<TrunkId, Arc<Carrier>>>,
    callers: Semaphore,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Far")
    }
}

impl Far {
    /// An end that has no trunk yet, and what will befall it.
    #[must_use]
    pub fn new(options: FarOptions) -> (Self, mpsc::UnboundedReceiver<FarEvent>) {
        let (events, events_rx) = mpsc::unbounded_channel();
        let (trunks, callers) = (Mutex::default(), Semaphore::new(MAX_CALLERS));
        (Self(Arc::new(Inner { options, events, trunks, callers })), events_rx)
    }

    /// Takes a new connection in; it says itself which trunk it belongs to. Must be called within a runtime.
    pub fn take_in(&self, strand: Strand) {
        let inner = self.0.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(PATIENCE, inner.greet(strand)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a caller was lost"),
                Err(_) => tracing::debug!("a caller said nothing"),
            }
        });
    }

    /// Delivers what was written to lanes so far, within a bound, and tells all near sides that this end goes.
    pub async fn shutdown(&self) {
        let trunks: Vec<Arc<Carrier>> = self.0.lock().drain().map(|(_, carrier)| carrier).collect();
        let parting: Vec<_> = trunks.iter().map(Carrier::begin_parting).collect();
        for one in parting {
            let _ = one.await;
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<TrunkId, Arc<Carrier>>> {
        self.trunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn greet(self: Arc<Self>, mut strand: Strand) -> io::Result<()> {
        let Ok(_permit) = self.callers.try_acquire() else { return Ok(()) };
        let join = match greet::hear_caller(&mut strand).await? {
            Some(Caller::Joins(join)) => join,
            Some(Caller::Speaks(version)) => {
                let words = greet::strangers(version, VERSION);
                return greet::say(&mut strand, &Joined::Refused(words)).await;
            }
            None => return Ok(()),
        };
        let carrier = match self.find(&join) {
            Ok(carrier) => carrier,
            Err(refusal) => return greet::say(&mut strand, &refusal).await,
        };
        greet::say(&mut strand, &Joined::Welcome).await?;
        carrier.keep_only(join.strand, &join.living);
        carrier.add_strand(join.strand, strand, Cutter::default());
        Ok(())
    }

    /// The trunk that a strand wants to join.
    fn find(self: &Arc<Self>, join: &Join) -> Result<Arc<Carrier>, Joined> {
        let mut trunks = self.lock();
        if let Some(carrier) = trunks.get(&join.trunk) {
            let standing = carrier.standing().0;
            if standing.len() >= MAX_STRANDS || standing.contains(&join.strand) {
                return Err(Joined::Refused("too many strands".to_owned()));
            }
            return Ok(carrier.clone());
        }
        if !join.is_new {
            return Err(Joined::Unknown);
        }
        if trunks.len() >= MAX_TRUNKS {
            return Err(Joined::Refused("the agent has too many sessions".to_owned()));
        }
        let keep_alive = Duration::from_millis(join.keep_alive.into()).clamp(SHORTEST, LONGEST);
        let terms = Terms { keep_alive, patience: self.options.patience };
        let carrier = Carrier::new(Side::Far, terms, self.teller(join.trunk));
        trunks.insert(join.trunk, carrier.clone());
        Ok(carrier)
    }

    fn teller(self: &Arc<Self>, trunk: TrunkId) -> Box<dyn FnMut(Tidings) + Send> {
        let inner = Arc::downgrade(self);
        let mut is_back = false;
        Box::new(move |tidings| {
            let Some(inner) = inner.upgrade() else { return };
            let event = match tidings {
                Tidings::Lane(lane) => FarEvent::Lane(trunk, lane),
                Tidings::Away(_) => FarEvent::Away(trunk),
                Tidings::Back(_) if std::mem::replace(&mut is_back, true) => FarEvent::Back(trunk),
                Tidings::Back(_) => return,
                Tidings::Parted => FarEvent::Ended(trunk, Parting::InOrder),
                Tidings::Lost(why) => {
                    tracing::info!(why, "a session is lost");
                    FarEvent::Ended(trunk, Parting::Suddenly)
                }
            };
            let is_over = matches!(event, FarEvent::Ended(..));
            let _ = inner.events.send(event);
            if is_over {
                // Whoever tells holds the trunk's lock, and whoever seeks holds ours first.
                tokio::spawn(async move { inner.lock().remove(&trunk) });
            }
        })
    }
}
