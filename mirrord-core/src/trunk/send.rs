//! What goes next, and by which strand.
//!
//! The *quick* strand, the living one with the lowest number, carries words and small lanes; the others carry bulk.
//! Where there is only one it carries both, small lanes first. Whoever writes to a strand asks again only when the
//! strand has taken what it was given, so nothing waits anywhere but here.

use std::time::Duration;

use mirrord_protocol::trunk::{Frame, HEADER, LaneId, MAX_PIECE, Saying, StrandId, TRUNK_WINDOW};

use super::{FIRST, News, Trunk, Urgency};

/// How many lanes one report tells of.
const REPORTED: usize = 1024;

/// How often the way is measured while bytes come.
const TRIP_EVERY: Duration = Duration::from_secs(2);

/// About how many bytes a strand is given at once: one that small things go by, too, and one that only bulk does.
const BATCH: usize = MAX_PIECE;
const BULK_BATCH: usize = 4 * MAX_PIECE;

impl Trunk {
    /// What this strand is to write now, put into `frames`. True if the strand is to be closed after that.
    /// When it is nothing, [`News::Strand`] will say when to ask again.
    pub fn next_frames(&mut self, strand: StrandId, now: Duration, frames: &mut Vec<Frame>) -> bool {
        let is_quick = self.quick() == Some(strand);
        let takes_bulk = !is_quick || !self.has_other(strand);
        let Some(pulse) = self.strands.get_mut(&strand) else { return true };
        pulse.is_idle = false;
        frames.extend(std::iter::from_fn(|| pulse.next_own()).map(Frame::Say));
        let is_told = pulse.is_told;
        if let Some(word) = &self.last_word {
            frames.push(Frame::Say(word.clone()));
            return true;
        }
        if is_quick {
            self.say(strand, now, frames);
        }
        let most = if is_quick { BATCH } else { BULK_BATCH };
        let mut n_bytes = 0;
        while is_told && n_bytes < most {
            let Some(frame) = self.next_of(strand, is_quick, takes_bulk) else { break };
            n_bytes += HEADER + if let Frame::Data { bytes, .. } = &frame { bytes.len() } else { 0 };
            frames.push(frame);
        }
        if frames.is_empty()
            && let Some(pulse) = self.strands.get_mut(&strand)
        {
            pulse.is_idle = true;
        }
        false
    }

    fn next_of(&mut self, strand: StrandId, takes_small: bool, takes_bulk: bool) -> Option<Frame> {
        loop {
            let small = if takes_small { self.small.pop_front() } else { None };
            let id = match small {
                Some(id) => id,
                None if takes_bulk => self.bulk.pop_front()?,
                None => return None,
            };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.is_queued = false;
            if small.is_some() && lane.outlet.is_bulk() {
                // It has grown while it waited.
                self.queue(id);
                continue;
            }
            let (before, was_full) = (lane.outlet.charge(), lane.outlet.room() == 0);
            let frame = lane.outlet.next_frame(strand, TRUNK_WINDOW - self.charge_out);
            self.charge_out = self.charge_out + lane.outlet.charge() - before;
            if was_full && lane.outlet.room() > 0 {
                self.news.push(News::Lane(id));
            }
            self.queue(id);
            if frame.is_some() {
                return frame;
            }
        }
    }

    /// A lane that has something to send gets its turn.
    pub(super) fn queue(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let left = TRUNK_WINDOW - self.charge_out;
        let is_bulk = lane.outlet.is_bulk();
        if !lane.is_queued {
            if !lane.outlet.can_send(left) {
                if lane.outlet.is_starved(left) {
                    self.starved.insert(id);
                }
                return;
            }
            lane.is_queued = true;
            match (is_bulk, id) {
                (false, FIRST) => self.small.push_front(id),
                (false, _) => self.small.push_back(id),
                // Half of what there is, if it wants that much, and never more than one frame to wait for.
                (true, FIRST) => self.bulk.insert(self.bulk.len().min(1), id),
                (true, _) => self.bulk.push_back(id),
            }
        }
        if is_bulk {
            self.wake_bulk();
        } else {
            self.wake_quick();
        }
    }

    /// Those who waited for the trunk's window try again.
    pub(super) fn feed_starved(&mut self) {
        if self.charge_out < TRUNK_WINDOW {
            for id in std::mem::take(&mut self.starved) {
                self.queue(id);
            }
        }
    }

    /// Words about the trunk, which go by the quick strand.
    fn say(&mut self, strand: StrandId, now: Duration, frames: &mut Vec<Frame>) {
        if !self.due.is_empty() && self.asked.is_empty() && now >= self.next_trip {
            self.next_trip = now + TRIP_EVERY;
            self.ask();
        }
        for (number, (asked, on)) in &mut self.asked {
            if on.is_none() {
                (*asked, *on) = (now, Some(strand));
                frames.push(Frame::Say(Saying::Ping(*number)));
            }
        }
        frames.extend(std::mem::take(&mut self.cuts).into_iter().map(|cut| Frame::Say(Saying::Cut(cut))));
        while !self.due.is_empty() {
            let n_reports = self.due.len().min(REPORTED);
            let lanes: Vec<LaneId> = self.due.drain(..n_reports).collect();
            frames.extend(self.report(lanes).map(Frame::Say));
        }
        frames.extend(std::mem::take(&mut self.overs).into_iter().map(|over| Frame::Say(Saying::Over(over))));
    }

    fn report(&mut self, lanes: Vec<LaneId>) -> Option<Saying> {
        let mut reports = Vec::with_capacity(lanes.len());
        for id in lanes {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.due = Urgency::Nothing;
                reports.push(lane.inlet.report());
            }
        }
        (!reports.is_empty()).then_some(Saying::Report(reports))
    }

    /// All that a new strand says first: how far every lane has come.
    pub(super) fn account(&mut self) -> impl Iterator<Item = Saying> + use<> {
        let all: Vec<LaneId> = self.lanes.keys().copied().collect();
        let parts: Vec<Saying> =
            all.chunks(REPORTED).filter_map(|lanes| self.report(lanes.to_vec())).collect();
        parts.into_iter().chain([Saying::Told])
    }

    /// Acknowledgements that were put off are due.
    pub(super) fn hurry(&mut self) {
        for id in std::mem::take(&mut self.lazy) {
            if let Some(lane) = self.lanes.get_mut(&id)
                && lane.due == Urgency::Soon
            {
                lane.due = Urgency::Now;
                self.due.push_back(id);
            }
        }
        self.lazy_until = None;
        if !self.due.is_empty() {
            self.wake_quick();
        }
    }

    /// The strand of small things.
    pub(super) fn quick(&self) -> Option<StrandId> {
        let told = self.strands.iter().find(|(_, pulse)| pulse.is_told);
        told.or_else(|| self.strands.iter().next()).map(|(id, _)| *id)
    }

    fn has_other(&self, strand: StrandId) -> bool {
        self.strands.iter().any(|(id, pulse)| *id != strand && pulse.is_told)
    }

    pub(super) fn wake_quick(&mut self) {
        if let Some(quick) = self.quick() {
            self.wake(quick);
        }
    }

    fn wake_bulk(&mut self) {
        let quick = self.quick();
        let idle =
            self.strands.iter().find(|(id, pulse)| pulse.is_idle && pulse.is_told && Some(**id) != quick);
        match (idle.map(|(id, _)| *id), quick) {
            (Some(strand), _) => self.wake(strand),
            (None, Some(quick)) if !self.has_other(quick) => self.wake(quick),
            _ => {}
        }
    }

    pub(super) fn wake(&mut self, strand: StrandId) {
        if let Some(pulse) = self.strands.get_mut(&strand)
            && pulse.is_idle
        {
            pulse.is_idle = false;
            self.news.push(News::Strand(strand));
        }
    }
}
