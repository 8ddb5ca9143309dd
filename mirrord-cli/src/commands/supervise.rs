//! `mirrord supervise`: the supervisor of a session's guests, or a guest that a layer hands over to one.

use std::process::ExitCode;

use crate::{
    args::SuperviseArguments,
    engine,
    report::Report,
    supervisor::{start, support::Stand},
};

pub(crate) fn run(arguments: &SuperviseArguments) -> Result<ExitCode, Report> {
    match &arguments.program {
        None => Ok(start::run(if arguments.stay { Stand::Above } else { Stand::Beside })),
        Some(program) => engine::take_over(program, &arguments.words),
    }
}
