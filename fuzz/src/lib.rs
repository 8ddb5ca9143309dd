//! What is tried: functions that take any bytes, and hold whatever they mean against what must always be true.

pub mod configuration;
pub mod names;
pub mod routing;
pub mod taken;
pub mod trunk;
pub mod wire;

/// A target: its name, which is its folder in `corpus`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("frames", wire::frames),
    ("agent_words", wire::agent_words),
    ("layer_words", wire::layer_words),
    ("configuration", configuration::configuration),
    ("routing", routing::routing),
    ("trunk", trunk::trunk),
    ("names", names::names),
];
