//! Reads the arguments, steps into the target, serves.

fn main() {}
