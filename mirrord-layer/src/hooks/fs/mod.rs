//! Calls that take a path.

pub(crate) mod open;

use crate::process::Process;

/// Finds out whether the process was started in a directory that lies there.
pub(crate) fn note_working_directory(_process: &Process) {}
