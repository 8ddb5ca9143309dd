//! Which question waits for which answer.

use std::{collections::HashMap, time::Duration};

use mirrord_protocol::id::RequestId;

/// The questions that an agent has not answered yet, and who waits for each.
#[derive(Debug)]
pub struct Pending<W> {
    last: RequestId,
    waiting: HashMap<RequestId, Waiting<W>>,
    lost: bool,
}

#[derive(Debug)]
struct Waiting<W> {
    until: Duration,
    waiter: W,
}

impl<W> Default for Pending<W> {
    fn default() -> Self {
        Self { last: RequestId(0), waiting: HashMap::new(), lost: false }
    }
}

impl<W> Pending<W> {
    /// Reserves a number for a question, whose answer is waited for until that time.
    ///
    /// # Errors
    /// The waiter itself, if the agent is gone.
    pub fn begin(&mut self, waiter: W, until: Duration) -> Result<RequestId, W> {
        if self.lost {
            return Err(waiter);
        }
        self.last = self.last.next();
        self.waiting.insert(self.last, Waiting { until, waiter });
        Ok(self.last)
    }

    /// Who waits for this answer; nobody if it was not asked, or is answered twice.
    pub fn finish(&mut self, id: RequestId) -> Option<W> {
        self.waiting.remove(&id).map(|waiting| waiting.waiter)
    }

    /// Those whose answer has not come in time, in the order of their questions.
    pub fn finish_overdue(&mut self, now: Duration) -> Vec<W> {
        let overdue: Vec<_> = self.waiting.extract_if(|_, waiting| waiting.until <= now).collect();
        in_order(overdue)
    }

    /// The agent is gone: all who wait, in the order of their questions. Nobody will wait from now on.
    pub fn handle_lost(&mut self) -> Vec<W> {
        self.lost = true;
        let waiting = self.waiting.drain().collect();
        in_order(waiting)
    }

    /// Whether the agent is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }
}

fn in_order<W>(mut waiting: Vec<(RequestId, Waiting<W>)>) -> Vec<W> {
    waiting.sort_unstable_by_key(|(id, _)| *id);
    waiting.into_iter().map(|(_, waiting)| waiting.waiter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(9);

    #[test]
    fn who_waits_too_long_is_told_once_and_its_answer_is_nobodys() {
        let mut pending = Pending::default();
        let late = pending.begin("late", Duration::from_secs(1)).unwrap();
        pending.begin("later", Duration::from_secs(2)).unwrap();
        let patient = pending.begin("patient", LATER).unwrap();
        assert_eq!(pending.finish_overdue(Duration::from_millis(999)), [""; 0]);
        assert_eq!(pending.finish_overdue(Duration::from_secs(2)), ["late", "later"]);
        assert_eq!((pending.finish(late), pending.finish(patient)), (None, Some("patient")));
    }

    #[test]
    fn an_answer_finds_its_question_once() {
        let mut pending = Pending::default();
        let (first, second) = (pending.begin("a", LATER).unwrap(), pending.begin("b", LATER).unwrap());
        assert_eq!(pending.finish(second), Some("b"));
        assert_eq!(pending.finish(second), None);
        assert_eq!(pending.finish(first), Some("a"));
    }

    #[test]
    fn when_the_agent_goes_everybody_is_told_and_nobody_waits_again() {
        let mut pending = Pending::default();
        for waiter in ["a", "b", "c"] {
            pending.begin(waiter, LATER).unwrap();
        }
        assert_eq!(pending.handle_lost(), ["a", "b", "c"]);
        assert_eq!(pending.begin("d", LATER), Err("d"));
        assert!(pending.is_lost());
    }
}
