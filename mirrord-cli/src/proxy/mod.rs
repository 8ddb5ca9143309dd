//! Drives the session: layers on one side, one agent on the other.

pub(crate) mod start;

/// The life of a proxy: takes its order from standard input, detaches, serves until the session ends.
pub(crate) fn run() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
