//! What the user asked for: load, resolve, lower; three steps from text to rules.

pub mod handoff;
