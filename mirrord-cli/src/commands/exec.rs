//! `mirrord exec`: the command becomes the guest.

use std::process::ExitCode;

use crate::{args::ExecArguments, launch, report::Report};

pub(crate) fn run(arguments: &ExecArguments) -> Result<ExitCode, Report> {
    launch::launch(arguments)
}
