//! Beside which pods of the target an agent stands, and which of them speaks for it.
//!
//! One pod is the *representative*: environment, files, names and outgoing connections are its own. The others are
//! joined for incoming connections, once those are wanted. Pods are named by keys that no other pod ever has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Let an agent stand beside this pod; settle with [`Crowd::finish_join`].
    Join(String),
    /// This pod, beside which an agent stands, speaks for the target from now on.
    Represent(String),
    /// No agent is left: find a pod, and tell it by [`Crowd::handle_found`].
    Seek,
}

/// The pods of a target, as far as agents stand beside them.
#[derive(Debug)]
pub struct Crowd {
    members: BTreeMap<String, Standing>,
    representative: Option<String>,
    all_wanted: bool,
    ready: BTreeSet<String>,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Joining,
    Joined,
    /// It could not be joined; not tried again while it stays ready, unless time has passed.
    Failed,
}

impl Crowd {
    /// An agent stands beside the first pod.
    #[must_use]
    pub fn new(first: String) -> Self {
        Self {
            members: BTreeMap::from([(first.clone(), Standing::Joined)]),
            representative: Some(first),
            all_wanted: false,
            ready: BTreeSet::new(),
            effects: VecDeque::new(),
        }
    }

    /// From now on every ready pod is wanted.
    pub fn handle_wanted(&mut self) {
        self.all_wanted = true;
        self.join_ready();
    }

    /// These pods are ready, and no others.
    pub fn handle_ready(&mut self, ready: impl IntoIterator<Item = String>) {
        self.ready = ready.into_iter().collect();
        let ready = &self.ready;
        self.members.retain(|key, standing| *standing != Standing::Failed || ready.contains(key));
        self.join_ready();
    }

    fn join_ready(&mut self) {
        // While one is sought, it may be any of them.
        if !self.all_wanted || self.representative.is_none() {
            return;
        }
        for key in &self.ready {
            if !self.members.contains_key(key) {
                self.members.insert(key.clone(), Standing::Joining);
                self.effects.push_back(Effect::Join(key.clone()));
            }
        }
    }

    /// An agent stands beside a pod that was to be joined, or cannot.
    pub fn finish_join(&mut self, key: &str, joined: bool) {
        if let Some(standing) = self.members.get_mut(key) {
            *standing = if joined { Standing::Joined } else { Standing::Failed };
        }
    }

    /// A while has passed since a pod could not be joined: it is tried again, if it is still ready.
    pub fn handle_retry(&mut self, key: &str) {
        if self.members.get(key) == Some(&Standing::Failed) {
            self.members.remove(key);
            self.join_ready();
        }
    }

    /// A pod is gone, or its agent is.
    pub fn handle_gone(&mut self, key: &str) {
        self.members.remove(key);
        self.ready.remove(key);
        if self.representative.as_deref() != Some(key) {
            return;
        }
        let next = self.members.iter().find(|(_, standing)| **standing == Standing::Joined);
        self.representative = next.map(|(key, _)| key.clone());
        self.effects.push_back(match &self.representative {
            Some(key) => Effect::Represent(key.clone()),
            None => Effect::Seek,
        });
    }

    /// A pod was found and an agent stands beside it: it is the representative.
    pub fn handle_found(&mut self, key: String) {
        self.members.insert(key.clone(), Standing::Joined);
        self.representative = Some(key);
        self.join_ready();
    }

    /// The pod that speaks for the target.
    #[must_use]
    pub fn representative(&self) -> Option<&str> {
        self.representative.as_deref()
    }

    /// What must be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(crowd: &mut Crowd) -> Vec<Effect> {
        std::iter::from_fn(|| crowd.poll_effect()).collect()
    }

    fn ready(crowd: &mut Crowd, keys: &[&str]) {
        crowd.handle_ready(keys.iter().map(ToString::to_string));
    }

    fn join(key: &str) -> Effect {
        Effect::Join(key.to_owned())
    }

    #[test]
    fn other_pods_are_joined_only_once_traffic_is_wanted() {
        let mut crowd = Crowd::new("a".to_owned());
        ready(&mut crowd, &["a", "b"]);
        assert_eq!(effects(&mut crowd), []);
        crowd.handle_wanted();
        assert_eq!(effects(&mut crowd), [join("b")]);
        ready(&mut crowd, &["a", "b", "c"]);
        assert_eq!(effects(&mut crowd), [join("c")]);
    }

    #[test]
    fn another_joined_pod_takes_the_place_of_the_representative() {
        let mut crowd = Crowd::new("a".to_owned());
        crowd.handle_wanted();
        ready(&mut crowd, &["a", "b", "c"]);
        crowd.finish_join("c", true);
        effects(&mut crowd);
        crowd.handle_gone("a");
        assert_eq!(effects(&mut crowd), [Effect::Represent("c".to_owned())]);
        assert_eq!(crowd.representative(), Some("c"));
    }

    #[test]
    fn where_none_is_left_one_is_sought_and_then_the_others_join() {
        let mut crowd = Crowd::new("a".to_owned());
        crowd.handle_wanted();
        crowd.handle_gone("a");
        assert_eq!(effects(&mut crowd), [Effect::Seek]);
        ready(&mut crowd, &["b", "c"]);
        assert_eq!(effects(&mut crowd), []);
        crowd.handle_found("c".to_owned());
        assert_eq!(effects(&mut crowd), [join("b")]);
    }

    #[test]
    fn what_cannot_be_joined_is_not_tried_again_while_it_stays_ready() {
        let mut crowd = Crowd::new("a".to_owned());
        crowd.handle_wanted();
        ready(&mut crowd, &["a", "b"]);
        crowd.finish_join("b", false);
        effects(&mut crowd);
        ready(&mut crowd, &["a", "b"]);
        assert_eq!(effects(&mut crowd), []);
        ready(&mut crowd, &["a"]);
        ready(&mut crowd, &["a", "b"]);
        assert_eq!(effects(&mut crowd), [join("b")]);
    }

    #[test]
    fn what_could_not_be_joined_is_tried_again_after_a_while() {
        let mut crowd = Crowd::new("a".to_owned());
        crowd.handle_wanted();
        ready(&mut crowd, &["a", "b"]);
        crowd.handle_retry("b");
        effects(&mut crowd);
        crowd.handle_retry("b");
        assert_eq!(effects(&mut crowd), []);
        crowd.finish_join("b", false);
        crowd.handle_retry("b");
        assert_eq!(effects(&mut crowd), [join("b")]);
    }

    #[test]
    fn a_pod_that_is_unready_keeps_its_agent() {
        let mut crowd = Crowd::new("a".to_owned());
        crowd.handle_wanted();
        ready(&mut crowd, &["a", "b"]);
        crowd.finish_join("b", true);
        effects(&mut crowd);
        ready(&mut crowd, &["b"]);
        assert_eq!((effects(&mut crowd), crowd.representative()), (Vec::new(), Some("a")));
    }
}
