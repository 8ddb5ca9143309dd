//! One end of a trunk with its sockets and its clock: tells the state machine what happens, and does what it says.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mirrord_core::trunk::{News, NoLane, Side, Terms, Trunk};
use mirrord_protocol::trunk::{Cutter, End, Frame, LaneId, Saying, StrandId};
use rustix::io::Errno;
use tokio::{
    net::UnixStream,
    runtime::Handle,
    sync::{Notify, oneshot},
};

use crate::{
    bell::{Bell, Order},
    clock, lane, pump,
    strand::Strand,
};

/// How long the last bytes may take to arrive when an end goes in order.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// How long a last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What an end tells whoever holds it.
pub(crate) enum Tidings {
    /// The peer has opened a lane.
    Lane(UnixStream),
    /// No strand is left, and why.
    Away(String),
    /// There is one again.
    Back(Duration),
    /// The peer has gone in order.
    Parted,
    /// The trunk is over, and why.
    Lost(String),
}

/// One end of a trunk.
pub(crate) struct Carrier {
    core: Mutex<Core>,
    origin: Instant,
    /// Where lanes and strands are carried, whoever opens them.
    runtime: Handle,
    /// The deadline may be earlier than it was.
    pub(crate) sooner: Notify,
    /// Something has changed for whoever keeps up strands, or waits for the end.
    pub(crate) changed: Notify,
}

struct Core {
    trunk: Trunk,
    lanes: HashMap<LaneId, Arc<Bell>>,
    strands: HashMap<StrandId, Cord>,
    trips: HashMap<u64, oneshot::Sender<Duration>>,
    news: Vec<News>,
    /// Taken away when there is nothing more to tell.
    tell: Option<Box<dyn FnMut(Tidings) + Send>>,
    last_cut: String,
    phase: Phase,
}

/// How far a trunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Standing,
    /// We are about to go: the last bytes are being delivered.
    Parting,
    /// The peer was told that we go.
    Gone,
    /// It has heard.
    Released,
    Over,
}

impl Phase {
    fn is_over(self) -> bool {
        self == Self::Over
    }
}

/// How a strand's task is woken to write, and told to stop.
struct Cord {
    wake: Arc<Notify>,
    stop: Arc<Bell>,
}

impl Carrier {
    pub(crate) fn new(side: Side, terms: Terms, tell: Box<dyn FnMut(Tidings) + Send>) -> Arc<Self> {
        let core = Core {
            trunk: Trunk::new(side, terms, Duration::ZERO),
            lanes: HashMap::new(),
            strands: HashMap::new(),
            trips: HashMap::new(),
            news: Vec::new(),
            tell: Some(tell),
            last_cut: String::new(),
            phase: Phase::Standing,
        };
        let carrier = Arc::new(Self {
            core: Mutex::new(core),
            origin: Instant::now(),
            runtime: Handle::current(),
            sooner: Notify::new(),
            changed: Notify::new(),
        });
        carrier.runtime.spawn(clock::keep(carrier.clone()));
        carrier
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the state machine do something, and does what comes of it.
    pub(crate) fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Trunk, Duration) -> R) -> R {
        let mut core = self.lock();
        let now = self.origin.elapsed();
        let result = act(&mut core.trunk, now);
        self.settle(&mut core, now);
        result
    }

    /// Does what the state machine wants done.
    fn settle(self: &Arc<Self>, core: &mut Core, now: Duration) {
        let mut news = std::mem::take(&mut core.news);
        loop {
            core.trunk.take_news(&mut news);
            if news.is_empty() {
                break;
            }
            for item in news.drain(..) {
                self.handle(core, item, now);
            }
        }
        core.news = news;
        if core.phase == Phase::Parting && core.trunk.is_delivered() {
            self.changed.notify_waiters();
        }
    }

    fn handle(self: &Arc<Self>, core: &mut Core, news: News, now: Duration) {
        match news {
            News::Opened(lane) => match self.begin(core, lane) {
                Ok(theirs) => core.tell(Tidings::Lane(theirs)),
                Err(error) => {
                    tracing::warn!(%error, "no sockets for a new lane");
                    core.trunk.end(lane, End::Broken);
                }
            },
            News::Lane(lane) => {
                if let Some(bell) = core.lanes.get(&lane) {
                    bell.notify.notify_one();
                }
            }
            News::Gone(lane) => {
                if let Some(bell) = core.lanes.remove(&lane) {
                    bell.ring(Order::Finish);
                }
            }
            News::Strand(strand) => {
                if let Some(cord) = core.strands.get(&strand) {
                    cord.wake.notify_one();
                }
            }
            News::Cut(strand, why) => self.cut(core, strand, why, now),
            News::Away => {
                let why = core.last_cut.clone();
                if core.phase < Phase::Gone {
                    core.tell(Tidings::Away(why));
                }
                self.changed.notify_waiters();
            }
            News::Back(after) => core.tell(Tidings::Back(after)),
            News::Expired => {
                let words = format!("it could not be reached again in time: {}", core.last_cut);
                self.finish(core, Tidings::Lost(words), Order::Drop);
            }
            News::RoundTrip(number, took) => {
                if let Some(trip) = core.trips.remove(&number) {
                    let _ = trip.send(took);
                }
            }
            News::Parted => {
                core.trunk.release();
                core.trunk.say_last(Saying::Parted);
                self.finish(core, Tidings::Parted, Order::Carry);
            }
            News::Released => {
                core.phase = core.phase.max(Phase::Released);
                self.changed.notify_waiters();
            }
            News::Accused(words) => {
                tracing::error!(words, "the peer says that we broke the rules of trunks");
                self.finish(core, Tidings::Lost(words), Order::Drop);
            }
            News::Sooner => self.sooner.notify_one(),
        }
    }

    /// Makes the sockets of a lane, and the task that carries it; the other end is for whoever uses it.
    fn begin(self: &Arc<Self>, core: &mut Core, lane: LaneId) -> io::Result<UnixStream> {
        let _inside = self.runtime.enter();
        let (ours, theirs) = UnixStream::pair()?;
        let bell = Arc::new(Bell::default());
        core.lanes.insert(lane, bell.clone());
        self.runtime.spawn(lane::carry(self.clone(), lane, bell, ours));
        Ok(theirs)
    }

    /// A new lane of ours, from any thread.
    pub(crate) fn open(self: &Arc<Self>) -> io::Result<std::os::unix::net::UnixStream> {
        let mut core = self.lock();
        if core.phase.is_over() {
            return Err(Errno::PIPE.into());
        }
        let lane = core.trunk.open().map_err(|why| match why {
            NoLane::Ending => Errno::PIPE,
            NoLane::TooMany => Errno::MFILE,
        })?;
        let theirs = self.begin(&mut core, lane);
        if theirs.is_err() {
            core.trunk.end(lane, End::Broken);
        }
        let _inside = self.runtime.enter();
        theirs.and_then(UnixStream::into_std)
    }

    /// A strand stands. What was already read of it is in the cutter.
    pub(crate) fn add_strand(self: &Arc<Self>, strand: StrandId, wire: Strand, cutter: Cutter) {
        let mut core = self.lock();
        if core.phase.is_over() {
            return;
        }
        let (wake, stop) = (Arc::new(Notify::new()), Arc::new(Bell::default()));
        core.strands.insert(strand, Cord { wake: wake.clone(), stop: stop.clone() });
        let now = self.origin.elapsed();
        core.trunk.add_strand(strand, now);
        self.settle(&mut core, now);
        self.runtime.spawn(pump::carry(self.clone(), strand, wake, stop, wire, cutter));
    }

    /// A strand is cut, and why.
    pub(crate) fn cut_strand(self: &Arc<Self>, strand: StrandId, why: &str) {
        let mut core = self.lock();
        let now = self.origin.elapsed();
        self.cut(&mut core, strand, why, now);
        self.settle(&mut core, now);
    }

    fn cut(&self, core: &mut Core, strand: StrandId, why: &str, now: Duration) {
        if let Some(cord) = core.strands.remove(&strand) {
            tracing::debug!(%strand, why, "strand is cut");
            why.clone_into(&mut core.last_cut);
            cord.stop.ring(Order::Drop);
            core.trunk.cut_strand(strand, now);
            self.changed.notify_waiters();
        }
    }

    /// The strands that stand, and whether the trunk is over.
    pub(crate) fn standing(&self) -> (Vec<StrandId>, bool) {
        let core = self.lock();
        (core.strands.keys().copied().collect(), core.phase.is_over())
    }

    /// Of the strands with smaller numbers than `strand`, those that the peer does not name are cut.
    pub(crate) fn keep_only(self: &Arc<Self>, strand: StrandId, living: &[StrandId]) {
        for known in self.standing().0 {
            if known < strand && !living.contains(&known) {
                self.cut_strand(known, "the other side does not have it any more");
            }
        }
    }

    /// Frames have come by a strand. False if the strand is not to be read any more.
    pub(crate) fn receive(self: &Arc<Self>, strand: StrandId, frames: &mut Vec<Frame>) -> bool {
        let mut core = self.lock();
        let now = self.origin.elapsed();
        for frame in frames.drain(..) {
            if core.phase.is_over() {
                break;
            }
            if let Err(violation) = core.trunk.receive(strand, frame, now) {
                self.accuse(&mut core, &violation.to_string());
                break;
            }
        }
        self.settle(&mut core, now);
        !core.phase.is_over() && core.strands.contains_key(&strand)
    }

    /// The peer has sent what is not even a frame.
    pub(crate) fn refuse(self: &Arc<Self>, words: &str) {
        let mut core = self.lock();
        self.accuse(&mut core, words);
        self.settle(&mut core, self.origin.elapsed());
    }

    fn accuse(self: &Arc<Self>, core: &mut Core, words: &str) {
        tracing::error!(words, "the peer of a trunk breaks the rules");
        core.trunk.say_last(Saying::Violation(words.to_owned()));
        self.finish(core, Tidings::Lost(words.to_owned()), Order::Drop);
    }

    /// Ends the trunk, since the peer is no more: what has come of it is still delivered.
    pub(crate) fn lose(self: &Arc<Self>, words: String) {
        let mut core = self.lock();
        if core.phase.is_over() {
            return;
        }
        core.trunk.release();
        self.settle(&mut core, self.origin.elapsed());
        self.finish(&mut core, Tidings::Lost(words), Order::Carry);
    }

    /// The trunk is over. Lanes are carried on only if what they have is to be delivered; strands get their last word.
    fn finish(self: &Arc<Self>, core: &mut Core, tidings: Tidings, lanes: Order) {
        if core.phase.is_over() {
            return;
        }
        core.phase = Phase::Over;
        core.tell(tidings);
        core.tell = None;
        core.trips.clear();
        for bell in core.lanes.values() {
            bell.ring(lanes);
        }
        for cord in core.strands.values() {
            cord.wake.notify_one();
        }
        self.sooner.notify_one();
        self.changed.notify_waiters();
        let carrier = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(LAST_WORD).await;
            carrier.cut_all();
        });
    }

    /// Goes in order: delivers what the lanes have, tells the peer, and ends.
    pub(crate) fn begin_parting(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(self.clone().part())
    }

    async fn part(self: Arc<Self>) {
        {
            let mut core = self.lock();
            if core.phase != Phase::Standing {
                return;
            }
            core.phase = Phase::Parting;
            core.trunk.begin_parting();
            for bell in core.lanes.values() {
                bell.notify.notify_one();
            }
        }
        let _ = tokio::time::timeout(LAST_BYTES, self.wait_for(|core| core.trunk.is_delivered())).await;
        {
            let mut core = self.lock();
            core.phase = core.phase.max(Phase::Gone);
            core.trunk.say_last(Saying::Part);
            self.settle(&mut core, self.origin.elapsed());
        }
        let released = self.wait_for(|core| core.phase >= Phase::Released || core.strands.is_empty());
        let _ = tokio::time::timeout(LAST_WORD, released).await;
        {
            let mut core = self.lock();
            core.tell = None;
            self.finish(&mut core, Tidings::Parted, Order::Drop);
        }
        self.cut_all();
    }

    fn cut_all(self: &Arc<Self>) {
        for strand in self.standing().0 {
            self.cut_strand(strand, "the trunk is over");
        }
    }

    /// When the state machine wants to know the time; nothing once the trunk is over, and a day where it never does.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let core = self.lock();
        let deadline = core.trunk.deadline().unwrap_or(self.origin.elapsed() + Duration::from_secs(86_400));
        (!core.phase.is_over()).then_some(self.origin + deadline)
    }

    async fn wait_for(&self, is_met: impl Fn(&Core) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_met(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Whether lanes are to end once they have nothing more to read.
    pub(crate) fn is_parting(&self) -> bool {
        self.lock().phase == Phase::Parting
    }

    /// Asks how long a round trip takes.
    pub(crate) fn ask(self: &Arc<Self>) -> oneshot::Receiver<Duration> {
        let (trip_tx, trip_rx) = oneshot::channel();
        let mut core = self.lock();
        if !core.phase.is_over() {
            let number = core.trunk.ask();
            core.trips.insert(number, trip_tx);
            self.settle(&mut core, self.origin.elapsed());
        }
        trip_rx
    }
}

impl Core {
    fn tell(&mut self, tidings: Tidings) {
        if let Some(tell) = &mut self.tell {
            tell(tidings);
        }
    }
}
