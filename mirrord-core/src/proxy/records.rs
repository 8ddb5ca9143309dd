//! What the guest's sockets are told about themselves. It is asked for at any time, so it is kept for long, but not
//! without bound: the oldest records are forgotten.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Records by key, of which only the newest are kept.
#[derive(Debug)]
pub struct Records<K, V> {
    by_key: HashMap<K, (u64, V)>,
    order: VecDeque<(u64, K)>,
    n_recorded: u64,
    limit: usize,
}

impl<K: Copy + Eq + Hash, V> Records<K, V> {
    /// Keeps so many.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new(), n_recorded: 0, limit }
    }

    /// Notes what is true of a key from now on.
    pub fn record(&mut self, key: K, value: V) {
        self.n_recorded += 1;
        self.by_key.insert(key, (self.n_recorded, value));
        self.order.push_back((self.n_recorded, key));
        while self.order.len() > self.limit {
            let Some((stamp, oldest)) = self.order.pop_front() else { break };
            // A key that was recorded anew has a younger stamp elsewhere in the line.
            if self.by_key.get(&oldest).is_some_and(|(newest, _)| *newest == stamp) {
                self.by_key.remove(&oldest);
            }
        }
    }

    /// What is true of a key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        self.by_key.get(&key).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.by_key.get_mut(&key).map(|(_, value)| value)
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: K) -> Option<V> {
        self.by_key.remove(&key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept() {
        let mut records = Records::new(2);
        for key in 1..=3 {
            records.record(key, key * 10);
        }
        assert_eq!((records.get(1), records.get(2), records.get(3)), (None, Some(&20), Some(&30)));
    }

    #[test]
    fn a_key_recorded_anew_is_young_again() {
        let mut records = Records::new(2);
        records.record(1, "old");
        records.record(2, "b");
        records.record(1, "new");
        assert_eq!(records.get(1), Some(&"new"));
        assert_eq!(records.get(2), Some(&"b"));
        records.record(3, "c");
        assert_eq!((records.get(1), records.get(2)), (Some(&"new"), None));
    }

    #[test]
    fn what_is_forgotten_stays_forgotten() {
        let mut records = Records::new(4);
        records.record(1, "a");
        assert_eq!(records.forget(1), Some("a"));
        assert_eq!(records.get(1), None);
    }
}
