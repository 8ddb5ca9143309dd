//! The guest is the command itself: its code, its signals, its descriptors, its words.

use std::{
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::Stdio,
    time::Duration,
};

use mirrord_tests::eventually::eventually;

use crate::screen::Desk;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_code_and_the_signal_are_the_guests() {
    let desk = Desk::new();
    for code in [0, 3, 125, 255] {
        let status = desk.mirrord(&["exec", "sh", "-c", &format!("exit {code}")]).output().unwrap().status;
        assert_eq!(status.code(), Some(code));
    }
    let status = desk.mirrord(&["exec", "sh", "-c", "kill -TERM $$"]).output().unwrap().status;
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn the_guest_is_the_process_that_was_started_and_has_no_children() {
    let desk = Desk::new();
    let script = "echo $$ $(wc -w < /proc/$$/task/$$/children)";
    let child = desk
        .mirrord(&["exec", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    // The substitution's own shell is the only child.
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{pid} 1"));
}

#[test]
fn the_guest_is_called_as_it_was_typed() {
    let desk = Desk::new();
    let output =
        desk.mirrord(&["exec", "sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline; cat"]).output().unwrap();
    assert!(output.stdout.starts_with(b"sh -c tr"), "{output:?}");
}

#[test]
fn a_script_that_does_not_say_what_runs_it_is_run_by_the_shell() {
    let desk = Desk::new();
    let script = desk.write("script", "echo \"$0 $1\"\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = desk.mirrord(&["exec", "./script", "word"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "./script word\n");
}

#[test]
fn the_standard_streams_are_the_guests_alone() {
    let desk = Desk::new();
    let mut child = desk
        .mirrord(&["exec", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through").unwrap();
    let mut read = String::new();
    // The end comes with the guest's end: nobody else holds the pipe.
    child.stdout.take().unwrap().read_to_string(&mut read).unwrap();
    assert_eq!(read, "through");
    assert!(child.wait().unwrap().success());
}

#[test]
fn descriptors_and_signals_are_as_whoever_started_it_left_them() {
    let desk = Desk::new();
    let script = "ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Ign|Blk)' /proc/self/status";
    let bare = |ignored: bool, closed: bool| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]);
        prepare(&mut command, ignored, closed)
    };
    let under = |ignored: bool, closed: bool| {
        prepare(&mut desk.mirrord(&["exec", "sh", "-c", script]), ignored, closed)
    };
    for (ignored, closed) in [(false, false), (true, false), (false, true)] {
        assert_eq!(
            under(ignored, closed),
            bare(ignored, closed),
            "SIGPIPE ignored: {ignored}, closed: {closed}"
        );
    }
}

/// Runs a command that finds SIGPIPE ignored, or its standard input closed.
fn prepare(command: &mut std::process::Command, is_ignored: bool, is_closed: bool) -> String {
    command.stdin(Stdio::null());
    let change = move || {
        if is_ignored {
            // SAFETY: ignoring is no handler of ours.
            let _ = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        }
        if is_closed {
            // SAFETY: nothing in the child uses its standard input before exec.
            let _ = unsafe { libc::close(0) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only signal and close are called, which are safe there.
    unsafe { command.pre_exec(change) };
    let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
    // The layer keeps its own descriptors high up, out of the guest's way.
    let is_layers = |word: &&str| word.parse().is_ok_and(|fd: u32| (512..65536).contains(&fd));
    told.split_whitespace().filter(|word| !is_layers(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_command_that_is_ended_before_its_guest_leaves_nothing() {
    let desk = Desk::new();
    // An agent that never says a word: its proxy ends it after a while.
    let agent =
        desk.program("mute-agent", &format!("echo $$ > {}; exec sleep 600", desk.path("pid").display()));
    let mut command = desk
        .mirrord(&["exec", "touch", "guest"])
        .env("MIRRORD_AGENT_FILE", agent)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = || std::fs::read_to_string(desk.path("pid")).ok()?.trim().parse::<i32>().ok();
    let pid = eventually("an agent", PATIENCE, pid);
    let proxy = parent(pid).unwrap();
    let us = nix::unistd::Pid::from_raw(i32::try_from(command.id()).unwrap());
    nix::sys::signal::kill(us, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(command.wait().unwrap().signal(), Some(15));
    eventually("the end of agent and proxy", PATIENCE, || {
        (parent(pid).is_none() && parent(proxy).is_none()).then_some(())
    });
    assert!(!desk.path("guest").exists());
}

/// The parent of a process that lives.
fn parent(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

#[test]
fn arguments_that_are_too_large_are_explained() {
    let desk = Desk::new();
    desk.write(
        "x.json",
        &format!(r#"{{"feature": {{"env": {{"override": {{"LONG": "{}"}}}}}}}}"#, "x".repeat(200_000)),
    );
    let output = desk.mirrord(&["exec", "-f", "x.json", "true"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{words}");
    assert!(words.contains("are too large") && words.contains("feature.env.include"), "{words}");
}
