//! A pod without a cluster, as a program.

fn main() {}
