//! What it costs: release builds, measured.

use std::process::Command;

use crate::{
    borrowed::Borrowed,
    build,
    ground::{cargo, run, target},
    needs,
};

/// Builds for users, and measures that; with `cluster`, in a cluster.
pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    needs::gather();
    if arguments.iter().any(|word| word == "--others") {
        needs::gather_others();
    }
    let is_cluster = arguments.first().is_some_and(|word| word == "cluster");
    let mut ground = is_cluster.then(Borrowed::begin);
    build::run(&["--release".to_owned()])?;
    run(cargo().args(["build", "--quiet", "--release", "-p", "mirrord-tests", "--bins"]))?;
    let mut command = Command::new(target().join("release/bench"));
    command.args(arguments).env("MIRRORD_TEST_BINARY", target().join("release/mirrord"));
    if let Some(ground) = &mut ground {
        ground.prepare(&mut command, false);
    }
    let outcome = run(&mut command);
    ground.map_or(Ok(()), Borrowed::give_back)?;
    outcome
}
