//! The demonstration: builds what it shows, and shows it.

use crate::{build, needs};

/// Builds the programs and the pretend pod, and runs the tour.
pub(crate) fn demo(arguments: &[String]) -> Result<(), String> {
    needs::gather_for_demo();
    build::then_run("demo", arguments)
}
