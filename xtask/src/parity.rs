//! `CPython`'s own tests, bare in a pretend pod and as guests outside of it.

use crate::{build, needs};

/// Runs the modules that are named, or all, and fails if a difference has no reason in `docs/parity.md`.
pub(crate) fn parity(arguments: &[String]) -> Result<(), String> {
    needs::gather();
    build::then_run("cpython", arguments)
}
