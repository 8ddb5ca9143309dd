//! `mirrord completions`: what a shell must know to complete our words, hidden commands left out.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{args::Arguments, printer};

pub(crate) fn run(shell: Shell) -> ExitCode {
    let whole = Arguments::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = clap::Command::new("mirrord")
        .about(whole.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown.collect::<Vec<_>>());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "mirrord", &mut script);
    printer::raw_data(&script);
    ExitCode::SUCCESS
}
