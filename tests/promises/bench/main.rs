//! What mirrord costs, as ratios to a direct run inside the target.

fn main() {}
