//! How a story waits: for a condition, never for a time.

use std::time::{Duration, Instant};

/// Asks again and again, until there is an answer or the deadline has passed.
///
/// # Panics
/// When there is none: with `what` was waited for.
pub fn eventually<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits for a moment that chance has chosen: the only wait that is for a time.
pub fn moment(after: Duration) {
    std::thread::sleep(after);
}
