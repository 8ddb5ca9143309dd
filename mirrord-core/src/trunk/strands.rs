//! Strands that come and go, and what time does to them.

use std::{collections::VecDeque, time::Duration};

use mirrord_protocol::trunk::{End, LaneId, Saying, StrandId};

use super::{
    News, Trunk, Urgency, Violation,
    pulse::{Need, Pulse},
};

/// How long a strand that is doubted may take to answer.
const DOUBT: Duration = Duration::from_secs(2);

impl Trunk {
    /// A strand stands, and its other end knows. It says first how far every lane has come.
    pub fn add_strand(&mut self, strand: StrandId, now: Duration) {
        let own: VecDeque<Saying> = self.account().collect();
        self.strands.insert(strand, Pulse::new(now, own));
        // How far the other side is.
        self.ask();
        if let Some(since) = self.away_since.take() {
            self.news.push(News::Back(now.saturating_sub(since)));
        }
        self.news.push(News::Sooner);
    }

    /// The peer has told all on this strand: bytes may go by it.
    pub(super) fn handle_told(&mut self, strand: StrandId) {
        if let Some(pulse) = self.strands.get_mut(&strand) {
            pulse.is_told = true;
        }
        // Whether this one is quick now, or takes bulk off the quick one: it must look.
        self.wake(strand);
        self.wake_quick();
    }

    /// A strand is cut: what went by it goes again by another, and the peer hears of it.
    pub fn cut_strand(&mut self, strand: StrandId, now: Duration) {
        if self.strands.remove(&strand).is_none() {
            return;
        }
        for (_, on) in self.asked.values_mut() {
            on.take_if(|on| *on == strand);
        }
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in lanes {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.outlet.handle_cut(strand);
                // A report may have been lost.
                if lane.due != Urgency::Now {
                    lane.due = Urgency::Now;
                    self.due.push_back(id);
                }
            }
            self.queue(id);
        }
        if self.strands.is_empty() {
            self.away_since = Some(now);
            // A new strand begins by telling all.
            self.cuts.clear();
            self.due.clear();
            self.lanes.values_mut().for_each(|lane| lane.due = Urgency::Nothing);
            self.news.extend([News::Away, News::Sooner]);
        } else {
            self.cuts.insert(strand);
            self.wake_quick();
            self.wake_all();
        }
    }

    /// The strands that stand.
    pub fn living(&self) -> impl Iterator<Item = StrandId> + '_ {
        self.strands.keys().copied()
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let pulses = self.strands.values().map(|pulse| pulse.deadline(self.terms.keep_alive));
        let patience = self.away_since.map(|since| since + self.terms.patience);
        pulses.chain(self.lazy_until).chain(patience).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        if self.lazy_until.is_some_and(|until| until <= now) {
            self.hurry();
        }
        let mut questions = Vec::new();
        for (id, pulse) in &mut self.strands {
            match pulse.check(now, self.terms.keep_alive) {
                Need::Nothing => {}
                Need::Question => questions.push(*id),
                Need::GivingUp => self.news.push(News::Cut(*id, "nothing is heard of it any more")),
            }
        }
        for id in questions {
            self.wake(id);
        }
        if self.away_since.is_some_and(|since| since + self.terms.patience <= now) {
            self.away_since = None;
            self.news.push(News::Expired);
        }
    }

    /// The machine has slept, and strands may have died meanwhile: each has to prove now that it lives.
    pub fn doubt(&mut self, now: Duration) {
        for pulse in self.strands.values_mut() {
            pulse.ask(now + DOUBT.min(self.terms.keep_alive * 2));
        }
        self.wake_all();
        self.news.push(News::Sooner);
    }

    /// Asks how long a round trip takes; [`News::RoundTrip`] answers with this number.
    pub fn ask(&mut self) -> u64 {
        self.last_asked += 1;
        self.asked.insert(self.last_asked, (Duration::ZERO, None));
        self.wake_quick();
        self.last_asked
    }

    /// From now on nothing is opened; whoever carries ends every lane, and waits until all is delivered.
    pub fn begin_parting(&mut self) {
        self.parting = true;
    }

    /// Says on every strand that we go, or that the peer may, as the last word.
    pub fn say_last(&mut self, word: Saying) {
        self.last_word = Some(word);
        self.wake_all();
    }

    /// Tells the peer what it has done. The trunk is over.
    pub fn accuse(&mut self, violation: &Violation) {
        self.say_last(Saying::Violation(violation.to_string()));
    }

    /// The peer has gone in order: what it sent is here, what we have for it is forgotten, and a lane that it could not
    /// end in time is broken.
    pub fn release(&mut self) {
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in lanes {
            if let Some(lane) = self.lanes.get_mut(&id) {
                let charge = lane.outlet.charge();
                lane.outlet.end(End::Broken);
                lane.outlet.abandon();
                self.charge_out -= charge;
                let before = lane.inlet.charge();
                lane.inlet.cut_short();
                self.charge_in = self.charge_in + lane.inlet.charge() - before;
            }
            self.news.push(News::Lane(id));
            self.settle(id);
        }
    }

    fn wake_all(&mut self) {
        let all: Vec<StrandId> = self.living().collect();
        for strand in all {
            self.wake(strand);
        }
    }
}
