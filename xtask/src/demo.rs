//! The demonstration: builds what it shows, and shows it.

use crate::build;

/// Builds the programs and the pretend pod, and runs the tour.
pub(crate) fn demo(arguments: &[String]) -> Result<(), String> {
    build::then_run("demo", arguments)
}
