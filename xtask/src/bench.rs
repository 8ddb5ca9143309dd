//! What it costs: release builds, measured.

use crate::{
    build,
    ground::{cargo, run, target},
    needs,
};

/// Builds for users, and measures that.
pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    needs::gather();
    build::run(&["--release".to_owned()])?;
    run(cargo().args(["build", "--quiet", "--release", "-p", "mirrord-tests", "--bins"]))?;
    run(cargo()
        .args(["run", "--quiet", "--release", "-p", "mirrord-tests", "--bin", "bench", "--"])
        .args(arguments)
        .env("MIRRORD_TEST_BINARY", target().join("release/mirrord")))
}
