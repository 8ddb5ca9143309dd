//! Parses, runs, reports, exits.

mod proxy;

fn main() {}
