//! The one door: everything that can be done here, by one command.

mod build;

use std::{env, process::ExitCode};

/// A deed: its name, what it does in a line, and the function that does it.
type Deed = (&'static str, &'static str, fn(&[String]) -> Result<(), String>);

const DEEDS: &[Deed] =
    &[("build [--release]", "layer, agent and command; with --release, the one file", build::run)];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let wanted = arguments.first().map(String::as_str).unwrap_or_default();
    let is_wanted = |usage: &str| usage.split(' ').next() == Some(wanted);
    let Some((.., deed)) = DEEDS.iter().find(|(usage, ..)| is_wanted(usage)) else {
        for (usage, what, _) in DEEDS {
            say(&format!("cargo xtask {usage:<20} {what}"));
        }
        return if wanted.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    match deed(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells the developer something.
#[expect(clippy::print_stderr, reason = "xtask speaks here alone")]
fn say(words: &str) {
    eprintln!("{words}");
}
