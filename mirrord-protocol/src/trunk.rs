//! What the two ends of a trunk say to each other on its strands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which trunk a strand belongs to. Whoever knows it may join: it is drawn at random, and never written anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrunkId(pub [u8; 16]);

impl fmt::Debug for TrunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrunkId(…)")
    }
}
