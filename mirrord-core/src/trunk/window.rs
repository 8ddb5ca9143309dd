//! How far a sender may be ahead of its reader: as far as it takes to keep the way full, and no further.

use std::time::Duration;

use mirrord_protocol::trunk::{FIRST_WINDOW, TRUNK_WINDOW};

/// The most that one lane is allowed: what a fast way of 100 ms holds.
pub(super) const LARGEST: u64 = 32 << 20;

/// How much more than their first window all lanes together are allowed: stalled readers leave room for others.
const MOST_GROWTH: u64 = TRUNK_WINDOW / 2;

/// On ways that are faster than this, what counts is how often a reader gets its turn.
const SHORTEST_TRIP: Duration = Duration::from_millis(2);

/// Before the first answer has come.
const GUESSED_TRIP: Duration = Duration::from_millis(20);

/// A reader that takes so many round trips for half a window needs less.
const SLOW: u32 = 32;

/// The window of one direction of a lane.
#[derive(Debug)]
pub(super) struct Window {
    size: u64,
    /// When and where the reader was when it was measured last.
    since: Duration,
    mark: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: FIRST_WINDOW, since: Duration::ZERO, mark: 0 }
    }
}

impl Window {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// By how much it exceeds the first window.
    pub(super) fn growth(&self) -> u64 {
        self.size - FIRST_WINDOW
    }

    /// The reader has come so far. Half a window within one round trip means that the sender waits for us: the window
    /// doubles, and twice where the reader was much faster than the way, if what all have grown allows it. `grown` is
    /// that sum.
    pub(super) fn measure(&mut self, consumed: u64, now: Duration, trip: Option<Duration>, grown: &mut u64) {
        if self.mark == 0 && self.since.is_zero() {
            self.since = now;
        }
        if consumed.saturating_sub(self.mark) < self.size / 2 {
            return;
        }
        let trip = trip.unwrap_or(GUESSED_TRIP).max(SHORTEST_TRIP);
        let took = now.saturating_sub(self.since);
        if took <= trip {
            for _ in 0..if took <= trip / 4 { 2 } else { 1 } {
                if self.size < LARGEST && *grown + self.size <= MOST_GROWTH {
                    *grown += self.size;
                    self.size *= 2;
                }
            }
        } else if took > trip * SLOW && self.size > FIRST_WINDOW {
            self.size /= 2;
            *grown -= self.size;
        }
        self.mark = consumed;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A reader on a way of 20 ms that reads whatever the window lets through, `n` times.
    fn grow(window: &mut Window, n: u32, grown: &mut u64) {
        let (mut consumed, mut now) = (window.mark, window.since.max(MS));
        for _ in 0..n {
            consumed += window.size;
            now += 20 * MS;
            window.measure(consumed, now, Some(20 * MS), grown);
        }
    }

    #[test]
    fn it_doubles_while_the_sender_waits_for_the_reader() {
        let (mut window, mut grown) = (Window::default(), 0);
        grow(&mut window, 20, &mut grown);
        assert_eq!(window.size(), LARGEST);
        assert_eq!(grown, LARGEST - FIRST_WINDOW);
    }

    #[test]
    fn it_grows_faster_while_the_reader_waits_for_the_way() {
        let (mut window, mut grown) = (Window::default(), 0);
        window.measure(1, MS, Some(80 * MS), &mut grown);
        // All of a window at once, and then nothing for a round trip.
        let before = window.size();
        window.measure(before / 2, 81 * MS, Some(80 * MS), &mut grown);
        window.measure(before + before, 82 * MS, Some(80 * MS), &mut grown);
        assert_eq!(window.size(), before * 8);
    }

    #[test]
    fn a_slow_reader_gets_no_more_and_gives_back() {
        let (mut window, mut grown) = (Window::default(), 0);
        grow(&mut window, 3, &mut grown);
        let large = window.size();
        let mut now = window.since;
        let mut consumed = window.mark;
        for _ in 0..20 {
            consumed += window.size;
            now += 2000 * MS;
            window.measure(consumed, now, Some(20 * MS), &mut grown);
        }
        assert!(large > FIRST_WINDOW);
        assert_eq!((window.size(), grown), (FIRST_WINDOW, 0));
    }

    #[test]
    fn all_lanes_together_grow_within_a_bound() {
        let mut grown = 0;
        let mut windows: Vec<Window> = (0..40).map(|_| Window::default()).collect();
        for window in &mut windows {
            grow(window, 20, &mut grown);
        }
        assert_eq!(grown, windows.iter().map(Window::growth).sum::<u64>());
        assert!(grown <= MOST_GROWTH);
    }
}
