//! Whether a story has ground to stand on, and how it says that it has not.

use std::io::Write;

/// Tells that a story was not told, and why; `cargo xtask test` counts it.
pub fn skip(why: &str) {
    // Not by a macro: the test harness would keep those words to itself.
    let _ = writeln!(std::io::stderr(), "\nskipped: {why}");
}

/// Whether the number of our user is nought.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
