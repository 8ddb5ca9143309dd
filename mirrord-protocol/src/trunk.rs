//! What the two ends of a trunk say to each other on its strands.
//!
//! A strand begins with a greeting of each side, the near one first: [`Preamble`], then [`Join`] or [`Joined`] in bincode.
//! From then on it carries frames ([`Frame`]), each with a header of [`HEADER`] little-endian bytes:
//!
//! | bytes | meaning |
//! |---|---|
//! | 0 to 2 | how many bytes follow the header, at most [`MAX_PIECE`] |
//! | 3 | 0: bytes of a lane; 1: it finishes; 2: it breaks; 3: a [`Saying`] in bincode |
//! | 4 to 7 | the lane |
//! | 8 to 15 | where in the lane the bytes belong, or where it ends |
//!
//! The two directions of a lane are counted apart, each from 0. A frame may come twice, and late, but what it says
//! never changes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::version::Version;

mod cut;
pub use cut::{BadFrame, Cutter};

/// The version of the language of strands that this build speaks.
pub const VERSION: Version = Version { major: 1, minor: 0 };

/// The bytes of a header.
pub const HEADER: usize = 16;

/// The most bytes that one frame carries.
pub const MAX_PIECE: usize = 64 << 10;

/// How far a lane may be ahead of its reader before the reader has said anything.
pub const FIRST_WINDOW: u64 = 512 << 10;

/// How far each lane may be ahead of its reader whatever the others do.
pub const FREE: u64 = 16 << 10;

/// How far the lanes of one direction may be ahead of their readers together, not counting [`FREE`] of each.
pub const TRUNK_WINDOW: u64 = 64 << 20;

/// How many lanes a trunk may have at once.
pub const MAX_LANES: usize = 4096;

/// Which trunk a strand belongs to. Whoever knows it may join: it is drawn at random, and never written anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrunkId(pub [u8; 16]);

impl fmt::Debug for TrunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrunkId(…)")
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id! {
    /// A lane of a trunk, as the near side numbers it, from 1.
    LaneId
}
id! {
    /// A strand of a trunk, as the near side numbers it, from 0; a new strand never gets an old one's number.
    StrandId
}

/// How a direction of a lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum End {
    /// No more bytes in this direction; the other one goes on.
    Finished,
    /// Neither direction goes on.
    Broken,
}

/// What travels on a strand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of a lane.
    Data {
        /// Whose.
        lane: LaneId,
        /// Where in the lane they belong.
        offset: u64,
        /// At most [`MAX_PIECE`].
        bytes: Bytes,
    },
    /// A lane ends.
    End {
        /// Which.
        lane: LaneId,
        /// After so many bytes.
        offset: u64,
        /// How.
        end: End,
    },
    /// A word about the trunk itself.
    Say(Saying),
}

/// Words about the trunk itself. Each may be lost with its strand: whoever needs it says it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Saying {
    /// How far lanes have come.
    Report(Vec<LaneReport>),
    /// On a new strand: every lane has been reported.
    Told,
    /// Is anybody there? Answered on the same strand by a pong with the same number.
    Ping(u64),
    /// Yes.
    Pong(u64),
    /// This strand is cut, whatever its other end believes.
    Cut(StrandId),
    /// This lane is over, and all that belonged to it has been dealt with.
    Over(LaneId),
    /// The sender has delivered all that it had, and goes.
    Part,
    /// The answer: nothing more will be said.
    Parted,
    /// The receiver has broken the rules, in these words: the trunk is over.
    Violation(String),
}

/// How far one direction of a lane has come at its reader's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneReport {
    /// The lane.
    pub lane: LaneId,
    /// All bytes before this one have arrived.
    pub received: u64,
    /// All bytes before this one have been read.
    pub consumed: u64,
    /// Bytes before this one may be sent.
    pub limit: u64,
    /// The end has arrived, too, and all before it.
    pub end: Option<End>,
}

/// The near side's greeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The trunk.
    pub trunk: TrunkId,
    /// The number of this strand.
    pub strand: StrandId,
    /// The trunk begins with this strand.
    pub is_new: bool,
    /// After how many milliseconds of silence a strand is to be asked whether it lives.
    pub keep_alive: u32,
    /// Of the strands with smaller numbers, those that are not cut.
    pub living: Vec<StrandId>,
}

/// The far side's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joined {
    /// The strand belongs to the trunk.
    Welcome,
    /// It does not, and why.
    Refused(String),
    /// The trunk that it speaks of is not known here: it has ended, or another program has taken the far side's place.
    Unknown,
}

/// What every greeting begins with, in every version: who speaks, which version, and how long the rest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// The speaker's version of the language of strands.
    pub version: Version,
    /// How many bytes of greeting follow, at most [`Preamble::MAX_GREETING`].
    pub length: usize,
}

impl Preamble {
    /// The bytes of a preamble.
    pub const LENGTH: usize = 12;

    /// The most bytes that a greeting has.
    pub const MAX_GREETING: usize = 4 << 10;

    const MAGIC: [u8; 4] = *b"mdTr";

    /// The bytes of this preamble.
    #[must_use]
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&Self::MAGIC);
        bytes[4..6].copy_from_slice(&self.version.major.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.version.minor.to_le_bytes());
        bytes[8..].copy_from_slice(&u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes());
        bytes
    }

    /// What these bytes say; nothing if they are no greeting of ours.
    #[must_use]
    pub fn parse(bytes: [u8; Self::LENGTH]) -> Option<Self> {
        let [m0, m1, m2, m3, a0, a1, i0, i1, l0, l1, l2, l3] = bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let version = Version { major: u16::from_le_bytes([a0, a1]), minor: u16::from_le_bytes([i0, i1]) };
        let is_ours = [m0, m1, m2, m3] == Self::MAGIC && length <= Self::MAX_GREETING;
        is_ours.then_some(Self { version, length })
    }
}
