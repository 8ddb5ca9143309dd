//! What the command line can ask for: one deed per file.

mod agents;
mod completions;
mod diagnose;
mod dump;
mod exec;
mod ext;
mod extract;
mod fix;
mod ls;
mod port_forward;
mod proxy;
mod session;
mod supervise;
mod verify_config;

use std::process::ExitCode;

use crate::{
    args::{Arguments, Command, DiagnoseCommand, FixCommand},
    printer,
    report::Report,
};

/// Does what was asked for.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Report> {
    match arguments.command {
        Command::Exec(arguments) => exec::run(&arguments),
        Command::Ls(arguments) => Ok(for_editor("ls", ls::run(&arguments))),
        Command::Dump(arguments) => alone(dump::run(&arguments)),
        Command::PortForward(arguments) => alone(port_forward::run(&arguments)),
        Command::Session(arguments) => alone(session::run(&arguments)),
        Command::Kill(arguments) => alone(session::stop(&arguments)),
        Command::Diagnose { what: DiagnoseCommand::Latency(arguments) } => {
            alone(diagnose::latency(&arguments))
        }
        Command::Fix { what: FixCommand::Kubeconfig { kubeconfig, dry_run } } => {
            alone(fix::run(kubeconfig.as_deref(), dry_run))
        }
        Command::Ext(arguments) => Ok(for_editor("ext", ext::run(&arguments))),
        Command::VerifyConfig(arguments) => Ok(verify_config::run(&arguments)),
        Command::Extract { path } => extract::run(&path),
        Command::Completions { shell } => Ok(completions::run(shell)),
        Command::Supervise(arguments) => supervise::run(&arguments),
        Command::Proxy => Ok(proxy::run()),
    }
}

/// A command without a guest has no other codes than 0 and 1.
fn alone(result: Result<ExitCode, Report>) -> Result<ExitCode, Report> {
    result.map_err(|report| Report { code: 1, ..report })
}

/// An editor reads its errors as JSON.
fn for_editor(command: &str, result: Result<ExitCode, Report>) -> ExitCode {
    result.unwrap_or_else(|report| {
        printer::tell_report_as_json(&report, command);
        ExitCode::FAILURE
    })
}
