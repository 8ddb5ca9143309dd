//! One direction of a lane at its sender: what is not acknowledged yet, and what may go next.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use mirrord_protocol::trunk::{End, FIRST_WINDOW, FREE, Frame, LaneId, LaneReport, MAX_PIECE, StrandId};

use super::Violation;

/// How many bytes may wait for a strand: beyond that they wait where they come from.
const MAX_WAITING: usize = 4 * MAX_PIECE;

/// A lane with more than this under way is bulk, until all of it has arrived.
const BULK: u64 = MAX_PIECE as u64;

/// What was written, from the first byte that is not acknowledged.
#[derive(Debug)]
pub(super) struct Outlet {
    lane: LaneId,
    pieces: VecDeque<Piece>,
    /// All pieces before this one are under way.
    first_waiting: usize,
    n_waiting: usize,
    written: u64,
    /// How far bytes have ever been sent.
    sent: u64,
    acknowledged: u64,
    /// How far the peer's reader has come, and how far it lets us go.
    consumed: u64,
    limit: u64,
    end: Option<End>,
    end_sent: Option<End>,
    end_is: EndIs,
    is_bulk: bool,
}

#[derive(Debug)]
struct Piece {
    offset: u64,
    bytes: Bytes,
    on: Option<StrandId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndIs {
    Waiting,
    On(StrandId),
    Heard,
}

impl Outlet {
    pub(super) fn new(lane: LaneId) -> Self {
        Self {
            lane,
            pieces: VecDeque::new(),
            first_waiting: 0,
            n_waiting: 0,
            written: 0,
            sent: 0,
            acknowledged: 0,
            consumed: 0,
            limit: FIRST_WINDOW,
            end: None,
            end_sent: None,
            end_is: EndIs::Waiting,
            is_bulk: false,
        }
    }

    /// How many more bytes may be written: they are sent soon, or there is no room for them.
    pub(super) fn room(&self) -> usize {
        if self.end.is_some() || self.n_waiting >= MAX_WAITING {
            return 0;
        }
        let ahead = self.limit.saturating_sub(self.written);
        usize::try_from(ahead).unwrap_or(usize::MAX).min(MAX_PIECE)
    }

    pub(super) fn write(&mut self, bytes: Bytes) {
        if bytes.is_empty() || self.end.is_some() {
            return;
        }
        let offset = self.written;
        self.written += bytes.len() as u64;
        self.n_waiting += bytes.len();
        self.pieces.push_back(Piece { offset, bytes, on: None });
        self.is_bulk |= self.written - self.acknowledged > BULK;
    }

    /// The lane ends, after all that was written.
    pub(super) fn end(&mut self, end: End) {
        if self.end < Some(end) {
            self.end = Some(end);
            self.end_is = EndIs::Waiting;
        }
    }

    /// Nobody listens any more.
    pub(super) fn abandon(&mut self) {
        self.pieces.clear();
        self.recount();
        self.end.get_or_insert(End::Broken);
        self.end_is = EndIs::Heard;
        self.consumed = self.consumed.max(self.sent);
    }

    fn recount(&mut self) {
        self.first_waiting = 0;
        self.n_waiting =
            self.pieces.iter().filter(|piece| piece.on.is_none()).map(|piece| piece.bytes.len()).sum();
    }

    /// Everything has arrived, the end included.
    pub(super) fn is_done(&self) -> bool {
        self.end_is == EndIs::Heard
    }

    pub(super) fn is_bulk(&self) -> bool {
        self.is_bulk
    }

    /// How much of the trunk's window this direction takes.
    pub(super) fn charge(&self) -> u64 {
        self.sent.saturating_sub(self.consumed.saturating_add(FREE))
    }

    /// Whether something may be sent, with so much of the trunk's window left.
    pub(super) fn can_send(&self, left: u64) -> bool {
        match self.waiting() {
            Some(piece) => {
                piece.offset < self.allowed(left) || piece.offset + piece.bytes.len() as u64 <= self.sent
            }
            None => self.end.is_some() && self.end_is == EndIs::Waiting,
        }
    }

    /// Something waits, and only the trunk's window forbids it.
    pub(super) fn is_starved(&self, left: u64) -> bool {
        !self.can_send(left) && self.waiting().is_some_and(|piece| piece.offset < self.limit)
    }

    fn waiting(&self) -> Option<&Piece> {
        self.pieces.range(self.first_waiting.min(self.pieces.len())..).find(|piece| piece.on.is_none())
    }

    fn allowed(&self, left: u64) -> u64 {
        let share = self.consumed.saturating_add(FREE).saturating_add(self.charge()).saturating_add(left);
        self.limit.min(share)
    }

    /// The next frame, which goes by this strand.
    pub(super) fn next_frame(&mut self, strand: StrandId, left: u64) -> Option<Frame> {
        let allowed = self.allowed(left);
        while self.pieces.get(self.first_waiting).is_some_and(|piece| piece.on.is_some()) {
            self.first_waiting += 1;
        }
        let Some(piece) = self.pieces.get_mut(self.first_waiting) else { return self.next_end(strand) };
        let (offset, length) = (piece.offset, piece.bytes.len());
        let may = if offset + length as u64 <= self.sent {
            length
        } else {
            usize::try_from(allowed.saturating_sub(offset)).unwrap_or(usize::MAX).min(length)
        };
        if may == 0 {
            return None;
        }
        let mut bytes = piece.bytes.clone();
        if may < length {
            let rest = piece.bytes.split_off(may);
            bytes.truncate(may);
            let rest = Piece { offset: offset + may as u64, bytes: rest, on: None };
            self.pieces[self.first_waiting].on = Some(strand);
            self.pieces.insert(self.first_waiting + 1, rest);
        } else {
            piece.on = Some(strand);
        }
        self.first_waiting += 1;
        self.n_waiting -= may;
        self.sent = self.sent.max(offset + may as u64);
        Some(Frame::Data { lane: self.lane, offset, bytes })
    }

    fn next_end(&mut self, strand: StrandId) -> Option<Frame> {
        let end = self.end.filter(|_| self.end_is == EndIs::Waiting)?;
        self.end_is = EndIs::On(strand);
        self.end_sent = Some(end);
        Some(Frame::End { lane: self.lane, offset: self.written, end })
    }

    /// This strand is cut: what is not known to have arrived by it goes again.
    pub(super) fn handle_cut(&mut self, strand: StrandId) {
        for piece in &mut self.pieces {
            if piece.on == Some(strand) {
                piece.on = None;
            }
        }
        // Whichever strand the end went by: that it has arrived may have been said on this one, by a peer who has let
        // go of the lane since and does not say it again unless it is asked.
        if let EndIs::On(_) = self.end_is {
            self.end_is = EndIs::Waiting;
        }
        self.recount();
    }

    /// The peer has told how far it has come. `heard_by` is called with strands that have proved to live.
    pub(super) fn handle_report(
        &mut self,
        report: &LaneReport,
        mut heard_by: impl FnMut(StrandId),
    ) -> Result<(), Violation> {
        if report.received > self.sent || report.consumed > report.received || report.end > self.end_sent {
            return Err(Violation::FalseReport(self.lane));
        }
        self.consumed = self.consumed.max(report.consumed);
        self.limit = self.limit.max(report.limit);
        self.acknowledged = self.acknowledged.max(report.received);
        while let Some(piece) = self.pieces.front_mut() {
            let length = piece.bytes.len();
            let n_arrived = self.acknowledged.saturating_sub(piece.offset);
            let n_arrived = usize::try_from(n_arrived).unwrap_or(usize::MAX).min(length);
            if n_arrived > 0 {
                match piece.on {
                    Some(strand) => heard_by(strand),
                    None => self.n_waiting -= n_arrived,
                }
            }
            if n_arrived < length {
                piece.bytes.advance(n_arrived);
                piece.offset += n_arrived as u64;
                break;
            }
            self.pieces.pop_front();
            self.first_waiting = self.first_waiting.saturating_sub(1);
        }
        if self.pieces.is_empty() {
            self.is_bulk = false;
        }
        if self.end.is_some() && report.end == self.end {
            self.end_is = EndIs::Heard;
        }
        Ok(())
    }
}
