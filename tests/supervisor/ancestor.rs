//! Where only ancestors may look into a program (Yama's ptrace scope 1), the supervisor is one.
//!
//! This kernel may know nothing of Yama, so its word is pretended: what is proven is that every guest comes from below the supervisor, and that nobody notices.

use std::{fs, os::unix::process::CommandExt as _, path::Path, process::Command, time::Duration};

use mirrord_tests::{
    eventually::eventually,
    ground::{is_root, skip},
    programs::system,
    running::Running,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use nix::{
    sys::{
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{STORIES, behind, session};

/// A machine that says so, to a user who may not trace everybody.
const SCOPE: &str = "mount -t tmpfs none /proc/sys/kernel && mkdir /proc/sys/kernel/yama && \
    echo 1 > /proc/sys/kernel/yama/ptrace_scope && exec setpriv --bounding-set -sys_ptrace \"$@\"";

fn confined(command: &Command) -> Command {
    behind(&["unshare", "--mount", "sh", "-c", SCOPE, "sh"], command)
}

/// The session lives as long as its configuration is needed.
fn of_the_shell(script: &str, engine: Engine) -> (Session, Command) {
    let session = session(DataPath::Passed, engine);
    let command = confined(session.command(&system("sh").unwrap()).args(["-c", script]));
    (session, command)
}

/// Why the stories cannot be told.
fn missing() -> Option<String> {
    let is_there = is_root() && system("setpriv").is_some() && system("unshare").is_some();
    (!is_there).then(|| "the ptrace scope is pretended by root, with util-linux".to_owned())
}

fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Whether somebody among its ancestors is a supervisor.
fn is_below_a_supervisor(pid: i32) -> bool {
    let mut pid = pid;
    while let Some(parent) = parent_of(pid).filter(|parent| *parent > 1) {
        if fs::read(format!("/proc/{parent}/cmdline"))
            .unwrap_or_default()
            .starts_with(b"mirrord\0supervise\0")
        {
            return true;
        }
        pid = parent;
    }
    false
}

#[test]
fn all_guests_come_from_below_their_supervisor_orphans_too() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    // The orphan's parent has ended when the last line is said.
    let script = "echo self $$; sh -c 'echo child $$; (sh -c \"sleep 0.2; echo orphan \\$\\$; read x < /dev/zero\" &)'; \
        cat /data/deep/er/still/yet/leaf; sleep 30";
    let (_session, mut command) = of_the_shell(script, Engine::Supervisor);
    let mut guest = Running::start(&mut command);
    guest.says("orphan");
    guest.says("a leaf");
    let words = guest.words();
    let number = |name: &str| -> i32 {
        let line = words.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    for name in ["self", "orphan"] {
        assert!(is_below_a_supervisor(number(name)), "{name}: {words}");
    }
    let orphan = Pid::from_raw(number("orphan"));
    guest.signal(Signal::SIGTERM);
    assert_eq!(guest.end(), 128 + 15, "the guest ends by the signal that the command got");
    assert!(is_below_a_supervisor(orphan.as_raw()), "its orphan goes on");
    nix::sys::signal::kill(orphan, Signal::SIGKILL).unwrap();
}

#[test]
fn codes_signals_and_handed_over_children_are_the_guests_own() {
    if let Some(why) = missing().or_else(|| STORIES.missing()) {
        return skip(&why);
    }
    let end = |script: &str| {
        let (_session, mut command) = of_the_shell(script, Engine::Supervisor);
        Transcript::of(&mut command).code
    };
    assert_eq!(end("exit 7"), Some(7));
    assert_eq!(end("kill -KILL $$"), Some(128 + 9));
    let script = format!("{} storm; cat /data/empty; echo $?", STORIES.program().display());
    let (_session, mut command) = of_the_shell(&script, Engine::Auto);
    let told = Transcript::of(&mut command);
    assert_eq!(told.stdout, "0 of 8000 failed\n0\n", "{told:?}");
}

#[test]
fn signals_reach_the_guest_and_its_stops_are_seen() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let script = "trap 'echo got it; exit 3' TERM; echo waiting; while :; do sleep 0.05; done";
    let (_session, mut command) = of_the_shell(script, Engine::Supervisor);
    // Whose group nobody of the session watches, is not stopped by a terminal's signals (`setpgid(2)`).
    command.process_group(0);
    let mut guest = Running::start(&mut command);
    guest.says("waiting");
    let pid = Pid::from_raw(guest.pid());
    guest.signal(Signal::SIGTSTP);
    let stopped = eventually("the stop", Duration::from_secs(10), || {
        match waitpid(pid, Some(WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG)).unwrap() {
            WaitStatus::StillAlive => None,
            status => Some(status),
        }
    });
    assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    guest.signal(Signal::SIGCONT);
    guest.signal(Signal::SIGTERM);
    assert_eq!(guest.end(), 3, "{}", guest.words());
    assert!(guest.words().contains("got it"), "{}", guest.words());
}

#[test]
fn a_command_that_is_killed_takes_its_guest_along() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let (_session, mut command) = of_the_shell("echo self $$; sleep 60", Engine::Supervisor);
    let mut guest = Running::start(&mut command);
    guest.says("self");
    let number = guest.words().trim().strip_prefix("self ").unwrap().to_owned();
    guest.signal(Signal::SIGKILL);
    guest.end();
    eventually("the end of the guest", Duration::from_secs(10), || {
        (!Path::new("/proc").join(&number).exists()).then_some(())
    });
}
