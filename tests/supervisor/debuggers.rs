//! Debuggers and tracers see a supervised guest as they see any program.

use std::{fs, process::Command};

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    programs::system,
    running::Running,
    session::{DataPath, Engine},
    transcript::Transcript,
};
use nix::sys::signal::Signal;

use crate::{STORIES, session};

const CLIENT: Guest = Guest { tongue: Tongue::Go, name: "client" };

fn missing(programs: &[&str], guest: Guest) -> Option<String> {
    let lacking = programs.iter().find(|program| system(program).is_none());
    lacking.map(|it| format!("there is no {it}")).or_else(|| guest.missing())
}

/// A program under a session, begun by a tool.
fn begun_by(words: &[&str], program: &std::path::Path, behind: &[&str]) -> Transcript {
    let session = session(DataPath::Passed, Engine::Supervisor);
    let mut command = session.command(&system(words[0]).unwrap());
    // A developer's own folder stays here; the tool reads the program there.
    command.current_dir(program.parent().unwrap());
    Transcript::of(command.args(&words[1..]).arg(program).args(behind).env("HOME", "/tmp"))
}

#[test]
fn strace_shows_the_calls_of_a_guest() {
    if let Some(why) = missing(&["strace"], STORIES) {
        return skip(&why);
    }
    let told = begun_by(&["strace", "-f", "-e", "trace=openat,open,read"], &STORIES.program(), &["closed"]);
    assert_eq!((told.stdout.as_str(), told.code), ("number 3, 7 bytes\n", Some(0)), "{told:?}");
    assert!(told.stderr.contains("\"/data/orders.txt\", O_RDONLY) = 3"), "{told:?}");
}

#[test]
fn gdb_starts_a_guest_and_stops_in_it() {
    if let Some(why) = missing(&["gdb"], STORIES) {
        return skip(&why);
    }
    let gdb = ["gdb", "-nx", "-batch", "-ex", "break main", "-ex", "run closed", "-ex", "continue"];
    let told = begun_by(&gdb, &STORIES.program(), &[]);
    assert!(told.stdout.contains("Breakpoint 1, ") && told.stdout.contains("number 3, 7 bytes"), "{told:?}");
    assert!(told.stdout.contains("exited normally"), "{told:?}");
}

#[test]
fn delve_starts_a_guest_and_stops_in_it() {
    if let Some(why) = missing(&["dlv"], CLIENT) {
        return skip(&why);
    }
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(script.path(), "break main.names\ncontinue\nclear 1\ncontinue\nexit\n").unwrap();
    let session = session(DataPath::Proxied, Engine::Auto);
    let mut command = session.command(&system("dlv").unwrap());
    command.args(["exec", "--allow-non-terminal-interactive=true", "--init"]).arg(script.path());
    let told = Transcript::of(command.arg(CLIENT.program()).env("HOME", "/tmp"));
    assert!(told.stdout.contains("main.names()"), "{told:?}");
    assert!(told.stdout.contains("lookup true [10.77.0.2"), "{told:?}");
    assert!(told.stdout.contains("at once 50"), "{told:?}");
}

/// A guest that goes on until it is told to end.
fn going(story: &str, word: &str) -> Running {
    let session = session(DataPath::Passed, Engine::Auto);
    let mut guest = Running::start(STORIES.outside(&session).arg(story));
    guest.says(word);
    guest
}

#[test]
fn gdb_enters_a_guest_that_waits_and_leaves_it() {
    if let Some(why) = missing(&["gdb"], STORIES) {
        return skip(&why);
    }
    let mut guest = going("hanging", "hanging");
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-p", &guest.pid().to_string(), "-ex", "info threads", "-ex", "detach"]);
    let told = Transcript::of(&mut gdb);
    assert!(told.stdout.contains("* 1 "), "{told:?}");
    let state = fs::read_to_string(format!("/proc/{}/status", guest.pid())).unwrap();
    assert!(state.contains("TracerPid:\t0"), "{state}");
    guest.signal(Signal::SIGTERM);
    assert_eq!(guest.end(), 128 + 15);
}

#[test]
fn strace_enters_a_guest_that_runs_and_leaves_it() {
    if let Some(why) = missing(&["strace"], STORIES) {
        return skip(&why);
    }
    let mut guest = going("orphaned", "before 0");
    let mut strace = Running::start(Command::new("strace").args(["-p", &guest.pid().to_string()]));
    strace.says("\"/data/orders.txt\"");
    strace.signal(Signal::SIGINT);
    strace.says("detached");
    guest.signal(Signal::SIGTERM);
    assert_eq!(guest.end(), 128 + 15);
}
