//! Reads the arguments, steps into the target, serves.

#[allow(dead_code, clippy::unused_async, reason = "the sessions are not wired to it yet")]
mod incoming;

fn main() {}
