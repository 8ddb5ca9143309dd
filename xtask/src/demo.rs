//! The demonstration: builds what it shows, and shows it.

use crate::{
    build,
    ground::{cargo, run},
    needs,
};

/// Builds the programs and the pretend pod, and runs the tour.
pub(crate) fn demo(arguments: &[String]) -> Result<(), String> {
    needs::gather();
    build::run(&[])?;
    run(cargo().args(["build", "--quiet", "-p", "mirrord-tests", "--bins"]))?;
    run(cargo().args(["run", "--quiet", "-p", "mirrord-tests", "--bin", "demo", "--"]).args(arguments))
}
