//! When a session ends. Moments are told as the time since the session began.

use std::time::Duration;

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody came within the start-up time.
    NobodyCame,
    /// The guest and all its descendants are gone.
    GuestGone,
    /// Somebody has told it to end, and the guest has not.
    Stopped,
}

/// Which processes have ever come: no more is kept of them than is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Nobody,
    One(i32),
    Several,
}

/// What keeps a session alive.
#[derive(Debug)]
pub struct Lifetime {
    start_idle: Duration,
    idle: Duration,
    is_watched: bool,
    guest_alive: bool,
    came: Came,
    n_connections: usize,
    /// Since when nobody is connected and the guest's main process is gone.
    quiet_since: Option<Duration>,
    /// No process is left that could still say hello.
    is_deserted: bool,
    /// When it ends at the latest, if it was told to.
    stop_by: Option<Duration>,
}

impl Lifetime {
    /// A session begins. Without a main process that is watched, only connections keep it alive.
    #[must_use]
    pub fn new(start_idle: Duration, idle: Duration, is_watched: bool) -> Self {
        let quiet_since = (!is_watched).then_some(Duration::ZERO);
        Self {
            start_idle,
            idle,
            is_watched,
            guest_alive: is_watched,
            came: Came::Nobody,
            n_connections: 0,
            quiet_since,
            is_deserted: false,
            stop_by: None,
        }
    }

    /// A layer has connected.
    pub fn handle_connected(&mut self, pid: i32) {
        self.came = match self.came {
            Came::Nobody => Came::One(pid),
            Came::One(first) if first == pid => Came::One(pid),
            _ => Came::Several,
        };
        self.n_connections += 1;
        self.quiet_since = None;
        self.is_deserted = false;
    }

    /// A layer's connection is gone.
    pub fn handle_disconnected(&mut self, now: Duration) {
        self.n_connections = self.n_connections.saturating_sub(1);
        self.note_quiet(now);
    }

    /// The guest's main process is gone.
    pub fn handle_guest_gone(&mut self, now: Duration) {
        self.guest_alive = false;
        self.note_quiet(now);
    }

    /// Whether it is worth a look if there is still a process that could say hello.
    #[must_use]
    pub fn awaits_kin(&self) -> bool {
        self.is_watched && self.quiet_since.is_some() && self.came == Came::Several && !self.is_deserted
    }

    /// No process is left that could.
    pub fn handle_deserted(&mut self) {
        self.is_deserted = self.quiet_since.is_some();
    }

    /// The session is told to end; the guest may take so long to go first.
    pub fn handle_stop(&mut self, now: Duration, patience: Duration) {
        self.stop_by.get_or_insert(now + patience);
    }

    fn note_quiet(&mut self, now: Duration) {
        if !self.guest_alive && self.n_connections == 0 {
            self.quiet_since.get_or_insert(now);
        }
    }

    /// When the session ends if nothing happens until then, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Duration, End)> {
        let Some(since) = self.quiet_since else { return self.stop_by.map(|by| (by, End::Stopped)) };
        Some(match (self.is_watched, self.came) {
            // Nobody who comes now is waited for.
            _ if self.stop_by.is_some() => (since, End::GuestGone),
            (false, Came::Nobody) => (self.start_idle, End::NobodyCame),
            (true, Came::Nobody | Came::One(_)) => (since, End::GuestGone),
            (true, Came::Several) if self.is_deserted => (since, End::GuestGone),
            // A child that was just forked may be about to say hello.
            _ => (since + self.idle, End::GuestGone),
        })
    }

    /// Whether it is over.
    #[must_use]
    pub fn decide_end(&self, now: Duration) -> Option<End> {
        self.deadline().filter(|(deadline, _)| *deadline <= now).map(|(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watched() -> Lifetime {
        Lifetime::new(60 * SECOND, 5 * SECOND, true)
    }

    #[test]
    fn while_the_guest_lives_nothing_ends() {
        let mut lifetime = watched();
        assert_eq!(lifetime.decide_end(3600 * SECOND), None);
        lifetime.handle_connected(1);
        lifetime.handle_disconnected(SECOND);
        assert_eq!(lifetime.decide_end(3600 * SECOND), None);
    }

    #[test]
    fn a_guest_of_one_process_ends_at_once() {
        let mut lifetime = watched();
        lifetime.handle_connected(1);
        lifetime.handle_guest_gone(SECOND);
        assert_eq!(lifetime.decide_end(9 * SECOND), None);
        lifetime.handle_disconnected(10 * SECOND);
        assert_eq!(lifetime.decide_end(10 * SECOND), Some(End::GuestGone));
    }

    #[test]
    fn a_guest_of_several_processes_ends_after_a_while() {
        let mut lifetime = watched();
        lifetime.handle_connected(1);
        lifetime.handle_connected(2);
        lifetime.handle_guest_gone(SECOND);
        lifetime.handle_disconnected(SECOND);
        lifetime.handle_disconnected(2 * SECOND);
        assert_eq!(lifetime.decide_end(6 * SECOND), None);
        assert_eq!(lifetime.deadline(), Some((7 * SECOND, End::GuestGone)));
        assert_eq!(lifetime.decide_end(7 * SECOND), Some(End::GuestGone));
    }

    #[test]
    fn a_guest_of_several_processes_of_which_none_is_left_ends_at_once() {
        let mut lifetime = watched();
        lifetime.handle_connected(1);
        lifetime.handle_connected(2);
        lifetime.handle_guest_gone(SECOND);
        lifetime.handle_disconnected(SECOND);
        assert!(!lifetime.awaits_kin());
        lifetime.handle_disconnected(2 * SECOND);
        assert!(lifetime.awaits_kin());
        lifetime.handle_deserted();
        assert_eq!(lifetime.decide_end(2 * SECOND), Some(End::GuestGone));
    }

    #[test]
    fn an_editor_may_start_another_process_after_the_last_is_gone() {
        let mut lifetime = Lifetime::new(60 * SECOND, 5 * SECOND, false);
        lifetime.handle_connected(1);
        lifetime.handle_connected(2);
        lifetime.handle_disconnected(SECOND);
        lifetime.handle_disconnected(SECOND);
        assert!(!lifetime.awaits_kin());
        assert_eq!(lifetime.decide_end(5 * SECOND), None);
    }

    #[test]
    fn a_newcomer_in_the_quiet_keeps_the_session() {
        let mut lifetime = watched();
        lifetime.handle_connected(1);
        lifetime.handle_connected(2);
        lifetime.handle_guest_gone(SECOND);
        lifetime.handle_disconnected(SECOND);
        lifetime.handle_disconnected(SECOND);
        lifetime.handle_connected(3);
        assert_eq!(lifetime.decide_end(60 * SECOND), None);
    }

    #[test]
    fn a_guest_that_ends_without_a_word_ends_the_session() {
        let mut lifetime = watched();
        lifetime.handle_guest_gone(2 * SECOND);
        assert_eq!(lifetime.decide_end(2 * SECOND), Some(End::GuestGone));
    }

    #[test]
    fn a_session_that_is_told_to_end_waits_for_its_guest_and_not_for_ever() {
        let mut lifetime = watched();
        lifetime.handle_connected(1);
        lifetime.handle_connected(2);
        lifetime.handle_stop(SECOND, 5 * SECOND);
        assert_eq!(lifetime.deadline(), Some((6 * SECOND, End::Stopped)));
        lifetime.handle_disconnected(2 * SECOND);
        lifetime.handle_disconnected(2 * SECOND);
        lifetime.handle_guest_gone(2 * SECOND);
        assert_eq!(lifetime.decide_end(2 * SECOND), Some(End::GuestGone));
        let mut lifetime = Lifetime::new(60 * SECOND, 5 * SECOND, false);
        lifetime.handle_stop(SECOND, 5 * SECOND);
        assert_eq!(lifetime.decide_end(SECOND), Some(End::GuestGone));
    }

    #[test]
    fn without_a_main_process_somebody_must_come_in_time() {
        let mut lifetime = Lifetime::new(60 * SECOND, 5 * SECOND, false);
        assert_eq!(lifetime.decide_end(59 * SECOND), None);
        assert_eq!(lifetime.decide_end(60 * SECOND), Some(End::NobodyCame));
        lifetime.handle_connected(1);
        assert_eq!(lifetime.decide_end(90 * SECOND), None);
    }
}
