//! A trunk: the lanes of one session over strands that may break, as a state machine.
//!
//! ```text
//!   written ─▶ outlet ─frames─▶ strands ─frames─▶ inlet ─▶ pulled
//!                ▲                                   │
//!                └────────────── reports ────────────┘
//! ```
//!
//! Every byte of a lane has its place ([`outlet`], [`inlet`]), so it does not matter by which strand it comes, or how
//! often. What is not reported as received when its strand is cut goes again by another. A lane may be ahead of its
//! reader by what the reader allows ([`window`]), and all lanes together by a bound that both ends keep. Small lanes go
//! by the strand with the lowest number, bulk by the others ([`send`]).
//!
//! Whoever carries calls in with what happened and when, and then does what the [`News`] say.

mod inlet;
mod outlet;
mod pulse;
mod receive;
mod seen;
mod send;
mod strands;
mod window;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use mirrord_protocol::trunk::{End, LaneId, MAX_LANES, Saying, StrandId};
use thiserror::Error;

use self::{
    inlet::{Inlet, Urgency},
    outlet::Outlet,
    pulse::Pulse,
    seen::Seen,
};

/// The lane that was opened first goes before all others.
const FIRST: LaneId = LaneId(1);

/// How long an acknowledgement that nobody waits for may be put off.
const LAZINESS: Duration = Duration::from_millis(20);

/// Which end of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It dials, and opens lanes.
    Near,
    /// It takes both in.
    Far,
}

/// What whoever carries is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The near side has opened this lane.
    Opened(LaneId),
    /// This lane has something to pull, or room, or has ended.
    Lane(LaneId),
    /// This lane is over: let go of it.
    Gone(LaneId),
    /// This strand has something to write.
    Strand(StrandId),
    /// This strand is cut, though its socket may not know yet.
    Cut(StrandId, &'static str),
    /// No strand is left.
    Away,
    /// There is a strand again, after so long.
    Back(Duration),
    /// The last strand has been cut for longer than anybody wants to wait.
    Expired,
    /// A round trip that was asked for took so long.
    RoundTrip(u64, Duration),
    /// The peer has delivered all, and goes.
    Parted,
    /// The peer has heard that we go.
    Released,
    /// The peer says that we broke the rules, in these words.
    Accused(String),
    /// [`Trunk::deadline`] is earlier than it was.
    Sooner,
}

/// How the peer has broken the rules. The trunk is over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// More bytes than were allowed.
    #[error("peer sent more on lane {0} than it was allowed")]
    BeyondCredit(LaneId),
    /// All lanes together.
    #[error("peer sent more than all lanes together are allowed")]
    BeyondTrunk,
    /// The end of a lane is not where it was.
    #[error("peer moved the end of lane {0}")]
    BeyondEnd(LaneId),
    /// Thousands of gaps.
    #[error("peer sent lane {0} in too many crumbs")]
    Crumbs(LaneId),
    /// It has received what was never sent.
    #[error("peer reports of lane {0} what was never sent")]
    FalseReport(LaneId),
    /// Nobody has opened it.
    #[error("peer speaks of lane {0}, which was never opened")]
    UnknownLane(LaneId),
    /// It has not ended.
    #[error("peer says that lane {0} is over, which has not ended")]
    EarlyOver(LaneId),
    /// More than a trunk may have.
    #[error("peer opened more than {MAX_LANES} lanes")]
    TooManyLanes,
}

/// Why there is no new lane.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoLane {
    /// The trunk is over, or about to be.
    #[error("the trunk is ending")]
    Ending,
    /// As many as a trunk may have are open.
    #[error("{MAX_LANES} lanes are open")]
    TooMany,
}

/// How a trunk is held.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// After how long a silence a strand is asked whether it lives; twice that without an answer, and it is cut.
    pub keep_alive: Duration,
    /// How long the trunk waits for a strand when it has none.
    pub patience: Duration,
}

/// One end of a trunk. Moments are told as the time since any moment before.
#[derive(Debug)]
pub struct Trunk {
    side: Side,
    terms: Terms,
    lanes: HashMap<LaneId, Lane>,
    /// Lanes that were ever opened.
    seen: Seen,
    strands: BTreeMap<StrandId, Pulse>,
    small: VecDeque<LaneId>,
    bulk: VecDeque<LaneId>,
    /// Lanes that wait for the trunk's window alone.
    starved: BTreeSet<LaneId>,
    overs: BTreeSet<LaneId>,
    cuts: BTreeSet<StrandId>,
    /// Round trips that were asked for: when, and whether the question is under way.
    asked: BTreeMap<u64, (Duration, Option<StrandId>)>,
    last_asked: u64,
    due: VecDeque<LaneId>,
    lazy: Vec<LaneId>,
    lazy_until: Option<Duration>,
    charge_out: u64,
    charge_in: u64,
    grown: u64,
    trip: Option<Duration>,
    next_trip: Duration,
    away_since: Option<Duration>,
    /// What is said on every strand before it is closed.
    last_word: Option<Saying>,
    parting: bool,
    news: Vec<News>,
}

#[derive(Debug)]
struct Lane {
    outlet: Outlet,
    inlet: Inlet,
    is_queued: bool,
    due: Urgency,
}

impl Lane {
    fn new(id: LaneId) -> Self {
        Self { outlet: Outlet::new(id), inlet: Inlet::new(id), is_queued: false, due: Urgency::Nothing }
    }
}

impl Trunk {
    /// An end that has no strand yet.
    #[must_use]
    pub fn new(side: Side, terms: Terms, now: Duration) -> Self {
        Self {
            side,
            terms,
            lanes: HashMap::new(),
            seen: Seen::default(),
            strands: BTreeMap::new(),
            small: VecDeque::new(),
            bulk: VecDeque::new(),
            starved: BTreeSet::new(),
            overs: BTreeSet::new(),
            cuts: BTreeSet::new(),
            asked: BTreeMap::new(),
            last_asked: 0,
            due: VecDeque::new(),
            lazy: Vec::new(),
            lazy_until: None,
            charge_out: 0,
            charge_in: 0,
            grown: 0,
            trip: None,
            next_trip: now,
            away_since: Some(now),
            last_word: None,
            parting: false,
            news: Vec::new(),
        }
    }

    /// What has come up since the last time.
    pub fn take_news(&mut self, into: &mut Vec<News>) {
        into.append(&mut self.news);
    }

    /// A new lane of ours.
    ///
    /// # Errors
    /// When there are too many, or the trunk is ending.
    pub fn open(&mut self) -> Result<LaneId, NoLane> {
        if self.last_word.is_some() || self.parting {
            return Err(NoLane::Ending);
        }
        if self.lanes.len() >= MAX_LANES {
            return Err(NoLane::TooMany);
        }
        let id = self.seen.next_own();
        self.lanes.insert(id, Lane::new(id));
        Ok(id)
    }

    /// How many bytes of this lane may be written now.
    #[must_use]
    pub fn room(&self, lane: LaneId) -> usize {
        self.lanes.get(&lane).map_or(0, |lane| lane.outlet.room())
    }

    /// Bytes go into a lane, no more than there is [room](Self::room).
    pub fn write(&mut self, id: LaneId, bytes: Bytes) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.outlet.write(bytes);
            self.queue(id);
        }
    }

    /// A lane ends. A break ends both of its directions.
    pub fn end(&mut self, id: LaneId, end: End) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.outlet.end(end);
        if end == End::Broken {
            self.charge_in -= lane.inlet.charge();
            lane.inlet.deafen();
        }
        self.queue(id);
        self.settle(id);
    }

    /// Takes what has come of a lane, about so many bytes, and its end once nothing is before it.
    pub fn pull(&mut self, id: LaneId, into: &mut VecDeque<Bytes>, most: usize) -> Option<End> {
        let lane = self.lanes.get_mut(&id)?;
        let end = lane.inlet.pull(into, most);
        if end.is_some() {
            self.settle(id);
        }
        end
    }

    /// So many bytes of what was pulled have found their reader.
    pub fn consume(&mut self, id: LaneId, n_bytes: usize, now: Duration) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let before = lane.inlet.charge();
        lane.inlet.consume(n_bytes);
        self.charge_in = self.charge_in + lane.inlet.charge() - before;
        let consumed = lane.inlet.consumed();
        lane.inlet.window.measure(consumed, now, self.trip, &mut self.grown);
        self.owe(id, now);
    }

    /// Whether everything that was written has arrived, and every lane has ended.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.lanes.values().all(|lane| lane.outlet.is_done())
    }

    /// How long a word takes to the peer and back, as far as is known.
    #[must_use]
    pub fn trip(&self) -> Option<Duration> {
        self.trip
    }

    /// How many lanes have not ended.
    #[must_use]
    pub fn n_lanes(&self) -> usize {
        self.lanes.len()
    }

    /// How many bytes the peer has made us hold, or may have, beyond what each lane is free to.
    #[must_use]
    pub fn charge(&self) -> u64 {
        self.charge_in
    }

    /// Lets go of a lane that has nothing more to do.
    fn settle(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        if !(lane.outlet.is_done() && lane.inlet.is_done()) {
            return;
        }
        if !lane.inlet.end_is_told() {
            self.overs.insert(id);
            self.wake_quick();
        }
        self.forget(id);
        self.news.push(News::Gone(id));
    }

    fn forget(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else { return };
        self.charge_out -= lane.outlet.charge();
        self.charge_in -= lane.inlet.charge();
        self.grown -= lane.inlet.window.growth();
        self.starved.remove(&id);
        self.feed_starved();
    }

    /// Notes that the peer should hear how far a lane has come.
    fn owe(&mut self, id: LaneId, now: Duration) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let urgency = lane.inlet.urgency();
        if urgency <= lane.due {
            return;
        }
        lane.due = urgency;
        if urgency == Urgency::Now {
            self.due.push_back(id);
            self.wake_quick();
        } else {
            self.lazy.push(id);
            if self.lazy_until.is_none() {
                self.lazy_until = Some(now + LAZINESS);
                self.news.push(News::Sooner);
            }
        }
    }
}
