//! One direction of a lane at its reader: what has arrived, in order or not yet, and how far the sender may go.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf as _, Bytes, BytesMut};
use mirrord_protocol::trunk::{End, FREE, LaneId, LaneReport, MAX_PIECE};

use super::{Violation, window::Window};

/// How many runs of bytes may wait for what comes before them.
const MAX_RUNS: usize = 4096;

/// A piece smaller than this is joined to its neighbour, so that crumbs cost what their bytes cost.
const CRUMB: usize = 4 << 10;

/// What has come of a lane.
#[derive(Debug)]
pub(super) struct Inlet {
    lane: LaneId,
    ready: VecDeque<Bytes>,
    /// What came before its time, by its place; no two overlap.
    early: BTreeMap<u64, Bytes>,
    received: u64,
    pulled: u64,
    consumed: u64,
    /// How far bytes have come, with gaps or without.
    highest: u64,
    end: Option<(u64, End)>,
    end_is_pulled: bool,
    is_deaf: bool,
    pub(super) window: Window,
    told: Told,
}

/// What the sender was told last.
#[derive(Debug)]
struct Told {
    received: u64,
    consumed: u64,
    limit: u64,
    end: Option<End>,
}

/// How soon the sender must hear of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    Nothing,
    Soon,
    Now,
}

impl Inlet {
    pub(super) fn new(lane: LaneId) -> Self {
        let window = Window::default();
        let told = Told { received: 0, consumed: 0, limit: window.size(), end: None };
        Self {
            lane,
            ready: VecDeque::new(),
            early: BTreeMap::new(),
            received: 0,
            pulled: 0,
            consumed: 0,
            highest: 0,
            end: None,
            end_is_pulled: false,
            is_deaf: false,
            window,
            told,
        }
    }

    /// How much of the trunk's window this direction takes.
    pub(super) fn charge(&self) -> u64 {
        if self.is_deaf { 0 } else { self.highest.saturating_sub(self.consumed.saturating_add(FREE)) }
    }

    /// Bytes have come. Whether they came before, or before their time, does not matter.
    pub(super) fn receive(&mut self, offset: u64, bytes: Bytes) -> Result<(), Violation> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Violation::BeyondCredit(self.lane))?;
        if end > self.told.limit {
            return Err(Violation::BeyondCredit(self.lane));
        }
        if self.end.is_some_and(|(last, _)| end > last) {
            return Err(Violation::BeyondEnd(self.lane));
        }
        self.highest = self.highest.max(end);
        if self.is_deaf || end <= self.received {
            return Ok(());
        }
        if offset > self.received {
            return self.keep(offset, bytes);
        }
        self.append(offset, bytes);
        while let Some(first) = self.early.first_entry()
            && *first.key() <= self.received
        {
            let (offset, bytes) = first.remove_entry();
            self.append(offset, bytes);
        }
        Ok(())
    }

    /// Takes what is new of a piece that begins no later than what is expected.
    fn append(&mut self, offset: u64, mut bytes: Bytes) {
        let n_known = usize::try_from(self.received - offset).unwrap_or(usize::MAX).min(bytes.len());
        bytes.advance(n_known);
        self.received += bytes.len() as u64;
        match self.ready.pop_back() {
            Some(last) if bytes.len() < CRUMB && last.len() < CRUMB * 4 => {
                self.ready.push_back(joined(last, &bytes));
            }
            last => self.ready.extend(last.into_iter().chain(Some(bytes).filter(|it| !it.is_empty()))),
        }
    }

    /// Keeps a piece for later, without what is already kept.
    fn keep(&mut self, mut offset: u64, mut bytes: Bytes) -> Result<(), Violation> {
        if let Some((&before, kept)) = self.early.range(..=offset).next_back() {
            let kept_to = before + kept.len() as u64;
            let n_known = usize::try_from(kept_to.saturating_sub(offset)).unwrap_or(usize::MAX);
            if n_known >= bytes.len() {
                return Ok(());
            }
            bytes.advance(n_known);
            offset += n_known as u64;
            if kept_to == offset && bytes.len() < CRUMB && kept.len() < MAX_PIECE {
                // The piece continues the one before it.
                let end = offset + bytes.len() as u64;
                let next = self.early.range(offset..).next().map(|(&next, _)| next);
                if next.is_none_or(|next| next >= end) {
                    let run = joined(kept.clone(), &bytes);
                    self.early.insert(before, run);
                    return Ok(());
                }
            }
        }
        while let Some((&next, kept)) = self.early.range(offset..).next() {
            let end = offset + bytes.len() as u64;
            if next >= end {
                break;
            }
            if next + kept.len() as u64 <= end {
                self.early.remove(&next);
            } else {
                bytes.truncate(usize::try_from(next - offset).unwrap_or(usize::MAX));
            }
        }
        if !bytes.is_empty() {
            self.early.insert(offset, bytes);
        }
        if self.early.len() > MAX_RUNS { Err(Violation::Crumbs(self.lane)) } else { Ok(()) }
    }

    /// The sender has told where the lane ends.
    pub(super) fn receive_end(&mut self, offset: u64, end: End) -> Result<(), Violation> {
        if offset < self.highest || offset > self.told.limit {
            return Err(Violation::BeyondEnd(self.lane));
        }
        match &mut self.end {
            Some((known, _)) if *known != offset => Err(Violation::BeyondEnd(self.lane)),
            Some((_, known)) => {
                *known = end.max(*known);
                Ok(())
            }
            None => {
                self.end = Some((offset, end));
                Ok(())
            }
        }
    }

    /// Hands out what is in order, about so many bytes, and the end when nothing is before it.
    pub(super) fn pull(&mut self, into: &mut VecDeque<Bytes>, most: usize) -> Option<End> {
        let mut n_pulled = 0;
        while n_pulled < most
            && let Some(bytes) = self.ready.pop_front()
        {
            n_pulled += bytes.len();
            into.push_back(bytes);
        }
        self.pulled += n_pulled as u64;
        let end = self.end_arrived().filter(|_| self.ready.is_empty());
        self.end_is_pulled |= end.is_some();
        end
    }

    /// Whether there is something to pull.
    pub(super) fn has_news(&self) -> bool {
        !self.ready.is_empty() || (self.end_arrived().is_some() && !self.end_is_pulled)
    }

    fn end_arrived(&self) -> Option<End> {
        self.end.filter(|(offset, _)| *offset == self.received).map(|(_, end)| end)
    }

    /// The reader has read so many bytes of what it pulled.
    pub(super) fn consume(&mut self, n_bytes: usize) {
        self.consumed = self.consumed.saturating_add(n_bytes as u64).min(self.pulled);
    }

    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The sender is gone: what is here in order is all that there will be.
    pub(super) fn cut_short(&mut self) {
        if self.end_arrived().is_none() {
            self.early.clear();
            self.highest = self.received;
            self.end = Some((self.received, End::Broken));
        }
    }

    /// Nobody reads any more.
    pub(super) fn deafen(&mut self) {
        self.is_deaf = true;
        self.ready.clear();
        self.early.clear();
    }

    /// Nothing more will be asked of this direction.
    pub(super) fn is_done(&self) -> bool {
        self.is_deaf || self.end_is_pulled
    }

    /// Whether the sender has ended this direction, or we have.
    pub(super) fn has_ended(&self) -> bool {
        self.is_deaf || self.end.is_some()
    }

    /// Whether the sender knows that its end has arrived.
    pub(super) fn end_is_told(&self) -> bool {
        self.told.end == self.end.map(|(_, end)| end)
    }

    /// How soon the sender should hear of what has changed since it was told last.
    pub(super) fn urgency(&self) -> Urgency {
        let limit = self.limit();
        let step = self.window.size() / 4;
        let is_ended = self.end_arrived() > self.told.end;
        if is_ended || limit - self.told.limit >= step || self.received - self.told.received >= step {
            Urgency::Now
        } else if self.received > self.told.received || self.consumed > self.told.consumed {
            Urgency::Soon
        } else {
            Urgency::Nothing
        }
    }

    fn limit(&self) -> u64 {
        if self.is_deaf {
            return self.told.limit;
        }
        self.told.limit.max(self.consumed.saturating_add(self.window.size()))
    }

    /// What the sender is told now.
    pub(super) fn report(&mut self) -> LaneReport {
        self.told = Told {
            received: self.received,
            consumed: self.consumed,
            limit: self.limit(),
            end: self.end_arrived(),
        };
        LaneReport {
            lane: self.lane,
            received: self.received,
            consumed: self.consumed,
            limit: self.told.limit,
            end: self.told.end,
        }
    }
}

/// Two pieces as one; the first is copied only if it is shared.
fn joined(first: Bytes, second: &[u8]) -> Bytes {
    let mut run = first.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    run.extend_from_slice(second);
    run.freeze()
}
