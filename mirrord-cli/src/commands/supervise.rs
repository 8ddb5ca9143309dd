//! `mirrord supervise`: the supervisor of a session's guests, or a guest that a layer hands over to one.

use std::process::ExitCode;

use crate::{args::SuperviseArguments, engine, report::Report, supervisor};

pub(crate) fn run(arguments: &SuperviseArguments) -> Result<ExitCode, Report> {
    match &arguments.program {
        None => Ok(supervisor::start::run()),
        Some(program) => match engine::take_over(program, &arguments.words)? {},
    }
}
