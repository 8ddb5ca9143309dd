//! Which lanes were ever opened: their numbers come roughly in order, and none comes back.

use std::collections::BTreeSet;

use mirrord_protocol::trunk::{LaneId, MAX_LANES};

/// Numbers that are taken.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// All numbers up to this one.
    floor: u32,
    above: BTreeSet<u32>,
}

impl Seen {
    /// The next number, for the side that gives them.
    pub(super) fn next_own(&mut self) -> LaneId {
        self.floor = self.floor.saturating_add(1);
        LaneId(self.floor)
    }

    pub(super) fn has(&self, lane: LaneId) -> bool {
        lane.0 <= self.floor || self.above.contains(&lane.0)
    }

    /// Takes a number. False if nobody can have given it: it is too far ahead.
    pub(super) fn take(&mut self, lane: LaneId) -> bool {
        let ahead = lane.0.saturating_sub(self.floor) as usize;
        let is_plausible = (1..=2 * MAX_LANES).contains(&ahead);
        if is_plausible {
            self.above.insert(lane.0);
            while self.above.remove(&(self.floor + 1)) {
                self.floor += 1;
            }
        }
        is_plausible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_come_out_of_order_but_not_from_nowhere() {
        let mut seen = Seen::default();
        assert!(seen.take(LaneId(2)));
        assert!(!seen.has(LaneId(1)) && seen.has(LaneId(2)));
        assert!(seen.take(LaneId(1)));
        assert!(seen.has(LaneId(1)));
        assert!(seen.above.is_empty());
        assert!(!seen.take(LaneId(1 << 20)));
        assert!(!seen.take(LaneId(0)));
    }
}
