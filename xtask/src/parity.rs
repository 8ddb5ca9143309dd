//! `CPython`'s own tests, bare in a pretend pod and as guests outside of it.

use crate::{
    build,
    ground::{cargo, run},
    needs,
};

/// Runs the modules that are named, or all, and fails if a difference has no reason in `docs/parity.md`.
pub(crate) fn parity(arguments: &[String]) -> Result<(), String> {
    needs::gather();
    build::run(&[])?;
    run(cargo().args(["build", "--quiet", "-p", "mirrord-tests", "--bins"]))?;
    run(cargo().args(["run", "--quiet", "-p", "mirrord-tests", "--bin", "cpython", "--"]).args(arguments))
}
