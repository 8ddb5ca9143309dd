//! What the agent may not do for want of a right, in words for whoever took it away.
//!
//! An agent in a cluster has as few rights as its owner leaves it. It serves with what it has: what cannot be done is
//! said at the beginning of every session, and again by the call that needs it.

use std::collections::BTreeMap;

use mirrord_protocol::fault::Fault;
use rustix::thread::CapabilitySet;

use crate::target::Credentials;

/// What takes a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// To stand in the target's network.
    Reach,
    /// To look at the target's files and environment.
    Look,
    /// To steal.
    Redirect,
    /// To mirror.
    Capture,
    /// To touch files as the target's user.
    Impersonate,
    /// To touch whatever files the target may touch.
    Override,
}

/// What a deed is called, needs, and means for a session.
struct Need {
    deed: &'static str,
    capability: CapabilitySet,
    name: &'static str,
    lost: &'static str,
}

impl Deed {
    fn need(self) -> Need {
        let (deed, capability, name, lost) = match self {
            Self::Reach => (
                "enter the target's network",
                CapabilitySet::SYS_ADMIN,
                "CAP_SYS_ADMIN",
                "its names, its connections and the traffic that it receives cannot be had",
            ),
            Self::Look => (
                "look into the target's process",
                CapabilitySet::SYS_PTRACE,
                "CAP_SYS_PTRACE",
                "its environment and its files cannot be had",
            ),
            Self::Redirect => {
                ("redirect ports", CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN", "nothing can be stolen")
            }
            Self::Capture => {
                ("capture packets", CapabilitySet::NET_RAW, "CAP_NET_RAW", "nothing can be mirrored")
            }
            Self::Impersonate => (
                "act as the target's user",
                CapabilitySet::SETUID.union(CapabilitySet::SETGID),
                "CAP_SETUID and CAP_SETGID",
                "files are touched as the agent's own user",
            ),
            Self::Override => (
                "override the owners of files as the target may",
                CapabilitySet::DAC_OVERRIDE,
                "CAP_DAC_OVERRIDE",
                "some files that the target may open cannot be opened",
            ),
        };
        Need { deed, capability, name, lost }
    }

    /// Why it may not be done.
    fn words(self, ours: CapabilitySet) -> String {
        let Need { deed, .. } = self.need();
        format!("the agent may not {deed}: {}", self.why(ours))
    }

    /// What stands in the way of it, if the kernel forbids it to somebody with these rights.
    pub(crate) fn why(self, ours: CapabilitySet) -> String {
        let Need { capability, name, .. } = self.need();
        if ours.contains(capability) {
            return "the node's security policy forbids it (`agent.privileged`)".to_owned();
        }
        let key = match self {
            Self::Reach | Self::Look | Self::Redirect => "agent.disabled_capabilities",
            Self::Capture | Self::Impersonate | Self::Override => "agent.security_context",
        };
        format!("it has no {name} (`{key}`, or the cluster's policy)")
    }
}

/// The deeds that are forbidden, each with the reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lacks(BTreeMap<Deed, String>);

impl Lacks {
    /// What somebody with these rights may not do for this target, as far as rights alone tell.
    pub(crate) fn of(ours: CapabilitySet, target: Option<&Credentials>, (uid, gid): (u32, u32)) -> Self {
        let mut lacks = Self::default();
        let lacks_right = |deed: Deed| !ours.contains(deed.need().capability);
        let is_another = target.is_some_and(|target| (target.uid, target.gid) != (uid, gid));
        let overrides = |target: &Credentials| target.capabilities.contains(CapabilitySet::DAC_OVERRIDE);
        for (deed, is_needed) in [
            (Deed::Redirect, true),
            (Deed::Capture, true),
            (Deed::Impersonate, is_another),
            (Deed::Override, target.is_some_and(overrides)),
        ] {
            if is_needed && lacks_right(deed) {
                lacks.note(deed, ours);
            }
        }
        lacks
    }

    /// The kernel has forbidden it to us, who have these rights.
    pub(crate) fn note(&mut self, deed: Deed, ours: CapabilitySet) {
        self.0.insert(deed, deed.words(ours));
    }

    /// Whether it may be done.
    ///
    /// # Errors
    /// `EPERM`, and why.
    pub(crate) fn permit(&self, deed: Deed) -> Result<(), Fault> {
        match self.0.get(&deed) {
            Some(words) => Err(Fault::with_words(libc::EPERM, words)),
            None => Ok(()),
        }
    }

    /// What every session should know.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(deed, words)| format!("{words}, so that {}", deed.need().lost))
    }
}

/// The rights that this thread has.
pub(crate) fn ours() -> CapabilitySet {
    rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uid: u32, capabilities: CapabilitySet) -> Credentials {
        Credentials { uid, gid: uid, groups: Vec::new(), capabilities }
    }

    #[test]
    fn whoever_has_every_right_lacks_nothing() {
        let target = target(1000, CapabilitySet::all());
        assert_eq!(Lacks::of(CapabilitySet::all(), Some(&target), (0, 0)).warnings().count(), 0);
    }

    #[test]
    fn what_is_taken_away_is_said_with_what_it_costs() {
        let ours = CapabilitySet::all() - CapabilitySet::NET_ADMIN;
        let lacks = Lacks::of(ours, None, (0, 0));
        let words = "the agent may not redirect ports: it has no CAP_NET_ADMIN (`agent.disabled_capabilities`, or the cluster's policy)";
        assert_eq!(lacks.permit(Deed::Redirect), Err(Fault::with_words(libc::EPERM, words)));
        assert_eq!(lacks.permit(Deed::Capture), Ok(()));
        let warnings: Vec<_> = lacks.warnings().collect();
        assert_eq!(warnings, [format!("{words}, so that nothing can be stolen")]);
    }

    #[test]
    fn only_what_the_target_needs_is_missed() {
        let ours = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
        let missed = |target: &Credentials| Lacks::of(ours, Some(target), (0, 0)).warnings().count();
        assert_eq!(missed(&target(0, CapabilitySet::empty())), 0);
        assert_eq!(missed(&target(1000, CapabilitySet::empty())), 1);
        assert_eq!(missed(&target(1000, CapabilitySet::DAC_OVERRIDE)), 2);
    }

    #[test]
    fn a_right_that_does_not_help_is_not_called_missing() {
        let words = Deed::Look.why(CapabilitySet::all());
        assert!(words.contains("security policy") && !words.contains("CAP_"), "{words}");
    }
}
