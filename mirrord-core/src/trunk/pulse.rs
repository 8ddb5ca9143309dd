//! Whether a strand lives: when it is asked, and when it is given up.

use std::{collections::VecDeque, time::Duration};

use mirrord_protocol::trunk::Saying;

/// One strand, as far as time and its own words go.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When anything was heard of it last.
    heard: Duration,
    /// It was asked, and until when the answer must be here.
    asked: Option<Duration>,
    /// The peer has reported all lanes here: bytes may go.
    pub(super) is_told: bool,
    /// Its writer waits for something to write.
    pub(super) is_idle: bool,
    /// What must be said on this strand and no other.
    own: VecDeque<Saying>,
    pong: Option<u64>,
}

/// What a strand needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Question,
    GivingUp,
}

impl Pulse {
    pub(super) fn new(now: Duration, own: VecDeque<Saying>) -> Self {
        Self { heard: now, asked: None, is_told: false, is_idle: false, own, pong: None }
    }

    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = now;
        self.asked = None;
    }

    /// When it is time to look again.
    pub(super) fn deadline(&self, keep_alive: Duration) -> Duration {
        self.asked.unwrap_or(self.heard + keep_alive)
    }

    /// What the silence means by now.
    pub(super) fn check(&mut self, now: Duration, keep_alive: Duration) -> Need {
        if now < self.deadline(keep_alive) {
            return Need::Nothing;
        }
        if self.asked.is_some() {
            return Need::GivingUp;
        }
        self.ask(now + keep_alive * 2);
        Need::Question
    }

    /// Asks whether it lives; the answer must be here by then.
    pub(super) fn ask(&mut self, until: Duration) {
        self.asked = Some(self.asked.map_or(until, |asked| asked.min(until)));
        self.own.push_back(Saying::Ping(0));
    }

    /// Answers a question; of several, the last.
    pub(super) fn answer(&mut self, number: u64) {
        self.pong = Some(number);
    }

    pub(super) fn next_own(&mut self) -> Option<Saying> {
        self.pong.take().map(Saying::Pong).or_else(|| self.own.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_strand_is_asked_once_and_then_given_up() {
        let mut pulse = Pulse::new(S, VecDeque::new());
        assert_eq!(pulse.check(5 * S, 5 * S), Need::Nothing);
        assert_eq!(pulse.check(6 * S, 5 * S), Need::Question);
        assert_eq!(pulse.check(15 * S, 5 * S), Need::Nothing);
        assert_eq!(pulse.check(16 * S, 5 * S), Need::GivingUp);
    }

    #[test]
    fn any_word_is_an_answer() {
        let mut pulse = Pulse::new(S, VecDeque::new());
        assert_eq!(pulse.check(6 * S, 5 * S), Need::Question);
        pulse.hear(7 * S);
        assert_eq!(pulse.check(16 * S, 5 * S), Need::Question);
        assert_eq!(pulse.deadline(5 * S), 26 * S);
    }

    #[test]
    fn a_strand_in_doubt_has_less_time() {
        let mut pulse = Pulse::new(S, VecDeque::new());
        pulse.ask(4 * S);
        assert_eq!(pulse.check(4 * S, 5 * S), Need::GivingUp);
        pulse.hear(4 * S);
        assert_eq!(pulse.check(5 * S, 5 * S), Need::Nothing);
    }

    #[test]
    fn only_the_last_of_many_questions_is_answered() {
        let mut pulse = Pulse::new(S, VecDeque::new());
        (0..1000).for_each(|number| pulse.answer(number));
        assert_eq!(pulse.next_own(), Some(Saying::Pong(999)));
        assert_eq!(pulse.next_own(), None);
    }
}
