//! Which version of the languages a program speaks, and whether two can talk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version of the languages: it moves only by appending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Programs of different majors cannot talk.
    pub major: u16,
    /// Counts what was appended.
    pub minor: u16,
}

impl Version {
    /// What this build speaks.
    pub const OURS: Self = Self { major: 1, minor: 3 };

    /// The first one in which many names of a directory are asked for at once.
    pub const STAT_NAMES: Self = Self { major: 1, minor: 3 };

    /// The version that two peers can both speak, or nothing.
    #[must_use]
    pub fn settle(self, peer: Self) -> Option<Self> {
        (self.major == peer.major).then(|| self.min(peer))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_settle_on_the_older_minor_and_never_across_majors() {
        let (older, newer) = (Version { major: 1, minor: 2 }, Version { major: 1, minor: 7 });
        assert_eq!(newer.settle(older), Some(older));
        assert_eq!(newer.settle(Version { major: 2, minor: 0 }), None);
    }
}
