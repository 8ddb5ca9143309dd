//! Which question waits for which answer.

use std::collections::HashMap;

use mirrord_protocol::id::RequestId;

/// The questions that an agent has not answered yet, and who waits for each.
#[derive(Debug)]
pub struct Pending<W> {
    last: RequestId,
    waiting: HashMap<RequestId, W>,
    lost: bool,
}

impl<W> Default for Pending<W> {
    fn default() -> Self {
        Self { last: RequestId(0), waiting: HashMap::new(), lost: false }
    }
}

impl<W> Pending<W> {
    /// Reserves a number for a question.
    ///
    /// # Errors
    /// The waiter itself, if the agent is gone.
    pub fn begin(&mut self, waiter: W) -> Result<RequestId, W> {
        if self.lost {
            return Err(waiter);
        }
        self.last = self.last.next();
        self.waiting.insert(self.last, waiter);
        Ok(self.last)
    }

    /// Who waits for this answer; nobody if it was not asked, or is answered twice.
    pub fn finish(&mut self, id: RequestId) -> Option<W> {
        self.waiting.remove(&id)
    }

    /// The agent is gone: all who wait, in the order of their questions. Nobody will wait from now on.
    pub fn handle_lost(&mut self) -> Vec<W> {
        self.lost = true;
        let mut waiting: Vec<_> = self.waiting.drain().collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        waiting.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// Whether the agent is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_its_question_once() {
        let mut pending = Pending::default();
        let (first, second) = (pending.begin("a").unwrap(), pending.begin("b").unwrap());
        assert_eq!(pending.finish(second), Some("b"));
        assert_eq!(pending.finish(second), None);
        assert_eq!(pending.finish(first), Some("a"));
    }

    #[test]
    fn when_the_agent_goes_everybody_is_told_and_nobody_waits_again() {
        let mut pending = Pending::default();
        for waiter in ["a", "b", "c"] {
            pending.begin(waiter).unwrap();
        }
        assert_eq!(pending.handle_lost(), ["a", "b", "c"]);
        assert_eq!(pending.begin("d"), Err("d"));
        assert!(pending.is_lost());
    }
}
