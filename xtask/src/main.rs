//! The one door: everything that can be done here, by one command.

fn main() {}
