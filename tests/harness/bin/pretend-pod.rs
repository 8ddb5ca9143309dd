//! A pod without a cluster, as a program.

use std::{env, ffi::OsString, io, process::ExitCode};

use mirrord_tests::pod::{birth, enter};

const USAGE: &str = "usage: pretend-pod run | pretend-pod enter PID FOLDER PROGRAM [ARGUMENTS...]";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|it| it.to_str().unwrap_or_default()).collect();
    let outcome = match words.as_slice() {
        ["run"] => birth::run().map(|()| 0),
        ["main", outside] => birth::main_process(outside).map(|()| 0),
        ["enter", pid, _, _, ..] => pid
            .parse()
            .map_err(io::Error::other)
            .and_then(|pid| enter::enter(pid, &arguments[2], &arguments[3], &arguments[4..])),
        _ => Err(io::Error::other(USAGE)),
    };
    match outcome {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            complain(&error);
            ExitCode::from(125)
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "this program is a stand-in for a container runtime, not a part of mirrord"
)]
fn complain(error: &io::Error) {
    eprintln!("pretend-pod: {error}");
}
