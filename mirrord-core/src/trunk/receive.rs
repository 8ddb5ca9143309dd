//! What comes by a strand: bytes, ends, and words. Nothing of it is believed.

use std::time::Duration;

use mirrord_protocol::trunk::{End, Frame, LaneId, LaneReport, MAX_LANES, Saying, StrandId, TRUNK_WINDOW};

use super::{Lane, News, Side, Trunk, Violation};

/// Words about lanes that are gone, which wait to be said. Only who sends to such lanes and never listens gets there.
const MAX_OVERS: usize = 4 * MAX_LANES;

impl Trunk {
    /// A frame has come by this strand.
    ///
    /// # Errors
    /// When the peer has broken the rules: the trunk is over, and [`Trunk::accuse`] tells the peer.
    pub fn receive(&mut self, strand: StrandId, frame: Frame, now: Duration) -> Result<(), Violation> {
        let Some(pulse) = self.strands.get_mut(&strand) else { return Ok(()) };
        pulse.hear(now);
        match frame {
            Frame::Data { lane: id, offset, bytes } => {
                let Some(lane) = self.lane(id)? else { return Ok(()) };
                let before = lane.inlet.charge();
                lane.inlet.receive(offset, bytes)?;
                let has_news = lane.inlet.has_news();
                let after = lane.inlet.charge();
                self.charge_in = self.charge_in + after - before;
                if self.charge_in > TRUNK_WINDOW {
                    return Err(Violation::BeyondTrunk);
                }
                if has_news {
                    self.news.push(News::Lane(id));
                }
                self.owe(id, now);
            }
            Frame::End { lane, offset, end } => self.receive_end(lane, offset, end, now)?,
            Frame::Say(saying) => self.listen(strand, saying, now)?,
        }
        Ok(())
    }

    fn receive_end(&mut self, id: LaneId, offset: u64, end: End, now: Duration) -> Result<(), Violation> {
        let Some(lane) = self.lane(id)? else { return Ok(()) };
        lane.inlet.receive_end(offset, end)?;
        if end == End::Broken {
            let charge = lane.outlet.charge();
            lane.outlet.abandon();
            self.charge_out -= charge;
            self.starved.remove(&id);
            self.feed_starved();
        }
        self.news.push(News::Lane(id));
        self.owe(id, now);
        self.settle(id);
        Ok(())
    }

    /// A living lane, which may begin with this very frame; nothing if it is over.
    fn lane(&mut self, id: LaneId) -> Result<Option<&mut Lane>, Violation> {
        if !self.lanes.contains_key(&id) {
            if self.seen.has(id) && id.0 > 0 {
                self.overs.insert(id);
                self.wake_quick();
                return if self.overs.len() > MAX_OVERS { Err(Violation::TooManyLanes) } else { Ok(None) };
            }
            if self.side == Side::Near || !self.seen.take(id) {
                return Err(Violation::UnknownLane(id));
            }
            // A lane may live on here for a while after the near side has let go of it.
            if self.lanes.len() >= 2 * MAX_LANES {
                return Err(Violation::TooManyLanes);
            }
            self.lanes.insert(id, Lane::new(id));
            self.news.push(News::Opened(id));
        }
        Ok(self.lanes.get_mut(&id))
    }

    fn listen(&mut self, strand: StrandId, saying: Saying, now: Duration) -> Result<(), Violation> {
        match saying {
            Saying::Report(reports) => {
                for report in reports {
                    self.hear_report(&report, now)?;
                }
            }
            Saying::Told => self.handle_told(strand),
            Saying::Ping(number) => {
                if let Some(pulse) = self.strands.get_mut(&strand) {
                    pulse.answer(number);
                    self.wake(strand);
                }
            }
            Saying::Pong(number) => {
                if let Some((asked, _)) = self.asked.remove(&number) {
                    let took = now.saturating_sub(asked);
                    self.note_trip(took);
                    self.news.push(News::RoundTrip(number, took));
                }
            }
            Saying::Cut(cut) => {
                if cut != strand && self.strands.contains_key(&cut) {
                    self.news.push(News::Cut(cut, "the other side does not hear it any more"));
                }
            }
            Saying::Over(id) => self.hear_over(id)?,
            Saying::Part => self.news.push(News::Parted),
            Saying::Parted => self.news.push(News::Released),
            Saying::Violation(words) => self.news.push(News::Accused(words)),
        }
        Ok(())
    }

    fn hear_report(&mut self, report: &LaneReport, now: Duration) -> Result<(), Violation> {
        let Some(lane) = self.lanes.get_mut(&report.lane) else {
            // Over since, or its first bytes are still under way.
            let is_known = self.seen.has(report.lane) || self.side == Side::Far;
            return if is_known { Ok(()) } else { Err(Violation::UnknownLane(report.lane)) };
        };
        let (before, was_full) = (lane.outlet.charge(), lane.outlet.room() == 0);
        let strands = &mut self.strands;
        lane.outlet.handle_report(report, |strand| {
            if let Some(pulse) = strands.get_mut(&strand) {
                pulse.hear(now);
            }
        })?;
        let freed = before.saturating_sub(lane.outlet.charge());
        self.charge_out -= freed;
        if was_full && lane.outlet.room() > 0 {
            self.news.push(News::Lane(report.lane));
        }
        self.queue(report.lane);
        self.settle(report.lane);
        if freed > 0 {
            self.feed_starved();
        }
        Ok(())
    }

    fn hear_over(&mut self, id: LaneId) -> Result<(), Violation> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        if !lane.inlet.has_ended() {
            return Err(Violation::EarlyOver(id));
        }
        let charge = lane.outlet.charge();
        lane.outlet.abandon();
        self.charge_out -= charge;
        self.feed_starved();
        self.settle(id);
        Ok(())
    }

    /// The shortest trip of late: a longer one counts little, because something stood in its way.
    fn note_trip(&mut self, took: Duration) {
        self.trip = Some(match self.trip {
            Some(known) if took > known => (known * 7 + took) / 8,
            _ => took,
        });
    }
}
