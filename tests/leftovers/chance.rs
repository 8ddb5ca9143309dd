//! Chance that can be had again: numbers from a seed that is told.

use std::{
    env,
    time::{Duration, SystemTime},
};

/// The environment variable that brings a seed back.
const SEED: &str = "MIRRORD_TEST_SEED";

/// The seed of this run: the one that was asked for, or one that the clock gives.
pub(crate) fn seed() -> u64 {
    let asked_for = env::var(SEED).ok().and_then(|text| text.parse().ok());
    asked_for.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::from(since.subsec_nanos())
    })
}

/// Numbers that look like chance (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Chance of its own for a story: what others draw changes nothing in it.
    pub(crate) fn of(seed: u64, story: &str) -> Self {
        Self(story.bytes().fold(seed, |mixed, byte| mixed.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time below this one.
    pub(crate) fn below(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap();
        Duration::from_micros(self.next() % most)
    }
}
