//! What the command line can ask for: one deed per file.

mod completions;
mod exec;
mod extract;
mod proxy;
mod verify_config;

use std::process::ExitCode;

use crate::{
    args::{Arguments, Command},
    report::Report,
};

/// Does what was asked for.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Report> {
    match arguments.command {
        Command::Exec(arguments) => exec::run(&arguments),
        Command::VerifyConfig(arguments) => Ok(verify_config::run(&arguments)),
        Command::Extract { path } => extract::run(&path),
        Command::Completions { shell } => Ok(completions::run(shell)),
        Command::Proxy => Ok(proxy::run()),
    }
}
