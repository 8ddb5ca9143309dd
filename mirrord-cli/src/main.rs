//! Parses, runs, reports, exits.

mod args;
mod assets;
mod commands;
mod engine;
mod environment;
mod in_place;
mod inherited;
mod inject;
mod inspect;
mod launch;
mod order;
mod printer;
mod program;
mod progress;
mod proxy;
mod random;
mod registry;
mod report;
mod session;
mod settings;
mod stand_in;
mod summary;
mod supervisor;
mod targets;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = if let Some((program, words)) = in_place::asked() {
        engine::take_over(&program, &words)
    } else {
        match args::Arguments::try_parse() {
            Ok(arguments) => commands::run(arguments),
            Err(usage) => return printer::tell_usage(&usage),
        }
    };
    outcome.unwrap_or_else(|report| {
        printer::tell_report(&report);
        ExitCode::from(report.code)
    })
}
