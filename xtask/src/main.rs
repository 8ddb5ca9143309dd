//! The one door: everything that can be done here, by one command.

mod archive;
mod bench;
mod borrowed;
mod build;
mod cluster;
mod demo;
mod fuzz;
mod ground;
mod hooks;
mod image;
mod lint;
mod moments;
mod names;
mod needs;
mod parity;
mod schema;
mod soak;
mod test;

use std::{env, process::ExitCode};

/// A deed: its name, what it does in a line, and the function that does it.
type Deed = (&'static str, &'static str, fn(&[String]) -> Result<(), String>);

const DEEDS: &[Deed] = &[
    ("demo", "a pretend pod, and programs of this machine as if they were in it", demo::demo),
    ("build [--release]", "layer, agent and command; with --release, the one file", build::run),
    ("test [FLOOR]", "prove it: floors 0 to 5 and `cluster`, or one of them", test::test),
    (
        "fuzz [--seconds N] [--seed N]",
        "try whatever peers and files may say, each target for so long",
        fuzz::fuzz,
    ),
    (
        "moments [--seed N] [--times N]",
        "kill everybody at twenty random moments each, and look what is left",
        moments::moments,
    ),
    ("soak [--scale N]", "an hour's worth of calls, and what it has cost", soak::soak),
    ("lint", "format and clippy, with warnings as errors", lint::lint),
    (
        "bench [cluster] [--quick] [--others]",
        "what it costs, as ratios to a direct run, to other tools, or to `kubectl port-forward`",
        bench::bench,
    ),
    ("parity [MODULE...]", "CPython's own tests, bare in a pod and as guests outside of it", parity::parity),
    (
        "image [--desk] [--tag TAG] [--load]",
        "the agent's image, as an archive; no engine is needed",
        image::image,
    ),
    ("cluster up|down", "a real Kubernetes of one node on this machine", cluster::cluster),
    ("hooks", "count the hooked calls again, into docs/hooks.md", hooks::run),
    ("schema", "write the editors' schema of the configuration again", schema::schema),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let wanted = arguments.first().map(String::as_str).unwrap_or_default();
    let is_wanted = |usage: &str| usage.split(' ').next() == Some(wanted);
    let Some((.., deed)) = DEEDS.iter().find(|(usage, ..)| is_wanted(usage)) else {
        for (usage, what, _) in DEEDS {
            show(&format!("cargo xtask {usage:<36} {what}\n"));
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

/// Gives the developer data.
#[expect(clippy::print_stdout, reason = "xtask speaks here alone")]
fn show(data: &str) {
    print!("{data}");
}
