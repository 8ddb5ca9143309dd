//! Who an agent is there for: clients that are there, that are away, and how long it stays without any.
//!
//! A client that is cut off is given a moment, and then its ports are given back until it is there again. An agent that
//! serves nobody goes: at once when its last client has parted in order, otherwise after its patience, counted from the
//! moment at which the last one was still there.

use std::time::Duration;

/// How long a client may be cut off before its ports are given back: shorter than a target may be kept from its own
/// traffic, longer than a connection takes to be replaced.
pub const GRACE: Duration = Duration::from_secs(3);

/// What is to be done when time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due<K> {
    /// The client was cut off for too long: its ports are given back.
    Suspend(K),
    /// Nobody is there, and nobody is expected any more.
    Leave,
}

/// The clients of an agent.
#[derive(Debug)]
pub struct Clients<K> {
    /// A handful, in the order in which they came.
    living: Vec<(K, Presence)>,
    patience: Duration,
    /// When an agent without clients has waited long enough.
    leave_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    There,
    /// Cut off since then.
    Away(Duration),
    /// Cut off since then, and its ports are given back.
    Suspended(Duration),
}

impl<K: Copy + PartialEq> Clients<K> {
    /// Nobody yet, at moment zero.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { living: Vec::new(), patience, leave_at: patience }
    }

    /// A client has shown itself.
    pub fn handle_seen(&mut self, client: K) {
        if self.presence(client).is_none() {
            self.living.push((client, Presence::There));
        }
    }

    /// A client is cut off.
    pub fn handle_away(&mut self, client: K, now: Duration) {
        if let Some(presence @ Presence::There) = self.presence(client) {
            *presence = Presence::Away(now);
        }
    }

    /// A client is there again; says whether its ports had been given back.
    pub fn handle_back(&mut self, client: K) -> bool {
        let Some(presence) = self.presence(client) else { return false };
        let was_suspended = matches!(presence, Presence::Suspended(_));
        *presence = Presence::There;
        was_suspended
    }

    /// A client is gone.
    pub fn handle_ended(&mut self, client: K, in_order: bool, now: Duration) {
        let Some(index) = self.living.iter().position(|(living, _)| *living == client) else { return };
        let (_, presence) = self.living.remove(index);
        let last_there = match presence {
            Presence::There => now,
            Presence::Away(since) | Presence::Suspended(since) => since,
        };
        // A client that ended earlier may have been there longer: whoever was there last counts.
        self.leave_at =
            if in_order { now } else { self.leave_at.max(last_there.saturating_add(self.patience)) };
    }

    /// When something is due, if nothing happens until then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.living.is_empty() {
            return Some(self.leave_at);
        }
        let cut_off = self.living.iter().filter_map(|(_, presence)| match presence {
            Presence::Away(since) => Some(since.saturating_add(GRACE)),
            Presence::There | Presence::Suspended(_) => None,
        });
        cut_off.min()
    }

    /// What is due now. A client is suspended only once; leaving stays due.
    pub fn poll_due(&mut self, now: Duration) -> Option<Due<K>> {
        if self.living.is_empty() {
            return (now >= self.leave_at).then_some(Due::Leave);
        }
        self.living.iter_mut().find_map(|(client, presence)| match *presence {
            Presence::Away(since) if now >= since.saturating_add(GRACE) => {
                *presence = Presence::Suspended(since);
                Some(Due::Suspend(*client))
            }
            _ => None,
        })
    }

    fn presence(&mut self, client: K) -> Option<&mut Presence> {
        self.living.iter_mut().find_map(|(living, presence)| (*living == client).then_some(presence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: u8 = 1;
    const BEN: u8 = 2;
    const PATIENCE: Duration = Duration::from_secs(30);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_agent_to_which_nobody_comes_leaves() {
        let mut clients = Clients::<u8>::new(PATIENCE);
        assert_eq!(clients.next_deadline(), Some(PATIENCE));
        assert_eq!(clients.poll_due(seconds(29)), None);
        assert_eq!(clients.poll_due(PATIENCE), Some(Due::Leave));
    }

    #[test]
    fn a_client_keeps_the_agent_as_long_as_it_is_there() {
        let mut clients = Clients::new(PATIENCE);
        clients.handle_seen(ANN);
        clients.handle_seen(ANN);
        assert_eq!(clients.next_deadline(), None);
        assert_eq!(clients.poll_due(seconds(10_000)), None);
    }

    #[test]
    fn the_last_client_that_parts_in_order_ends_the_agent_at_once_and_no_earlier_one_does() {
        let mut clients = Clients::new(PATIENCE);
        clients.handle_seen(ANN);
        clients.handle_seen(BEN);
        clients.handle_ended(ANN, true, seconds(5));
        assert_eq!(clients.poll_due(seconds(1000)), None);
        clients.handle_ended(BEN, true, seconds(1000));
        assert_eq!(clients.poll_due(seconds(1000)), Some(Due::Leave));
    }

    #[test]
    fn an_agent_waits_for_a_client_that_went_suddenly_from_when_it_was_last_there() {
        let mut clients = Clients::new(PATIENCE);
        clients.handle_seen(ANN);
        clients.handle_away(ANN, seconds(100));
        clients.handle_ended(ANN, false, seconds(120));
        assert_eq!(clients.next_deadline(), Some(seconds(130)));
        clients.handle_seen(BEN);
        assert_eq!(clients.next_deadline(), None);
    }

    #[test]
    fn a_cut_off_client_is_suspended_once_and_told_so_when_it_is_back() {
        let mut clients = Clients::new(PATIENCE);
        clients.handle_seen(ANN);
        clients.handle_away(ANN, seconds(100));
        assert_eq!(clients.next_deadline(), Some(seconds(100) + GRACE));
        assert_eq!(clients.poll_due(seconds(101)), None);
        assert_eq!(clients.poll_due(seconds(104)), Some(Due::Suspend(ANN)));
        assert_eq!((clients.poll_due(seconds(104)), clients.next_deadline()), (None, None));
        assert!(clients.handle_back(ANN));
        assert!(!clients.handle_back(ANN));
    }

    #[test]
    fn a_short_cut_suspends_nothing() {
        let mut clients = Clients::new(PATIENCE);
        clients.handle_seen(ANN);
        clients.handle_away(ANN, seconds(100));
        assert!(!clients.handle_back(ANN));
        assert_eq!(clients.poll_due(seconds(1000)), None);
    }

    #[test]
    fn what_befalls_a_client_that_never_came_is_nothing() {
        let mut clients = Clients::new(PATIENCE);
        clients.handle_away(ANN, seconds(1));
        clients.handle_ended(ANN, true, seconds(2));
        assert!(!clients.handle_back(ANN));
        assert_eq!(clients.next_deadline(), Some(PATIENCE));
    }
}
