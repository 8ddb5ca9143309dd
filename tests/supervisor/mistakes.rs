//! Bad input, and ends that come too soon.

use std::{fs, time::Duration};

use mirrord_tests::{
    eventually::eventually,
    ground::skip,
    running::Running,
    session::{DataPath, Engine},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{STORIES, session, told};

#[test]
fn pointers_to_nothing_are_told_so() {
    let Some(told) = told("pointers") else { return };
    let fault = "Bad address";
    let expected = format!(
        "open -1 {fault}\nstat -1 {fault}\nconnect -1 {fault}\nreadlink -1 {fault}\nlong -1 File name too long\nstill here 0\n"
    );
    assert_eq!(told.stdout, expected);
}

#[test]
fn a_guest_that_closes_all_descriptors_goes_on() {
    let Some(told) = told("closed") else { return };
    assert_eq!(told.stdout, "number 3, 7 bytes\n");
}

#[test]
fn a_listener_of_the_guests_own_is_refused_and_nothing_else_changes() {
    let Some(told) = told("filtered") else { return };
    assert_eq!(told.stdout, "own listener -1 Device or resource busy\nstill there 0\n");
}

#[test]
fn rings_are_refused() {
    let Some(told) = told("ring") else { return };
    assert_eq!(told.stdout, "ring -1 Function not implemented\n");
}

#[test]
fn everybody_is_answered_in_a_storm() {
    let Some(told) = told("storm") else { return };
    assert_eq!(told.stdout, "0 of 8000 failed\n");
}

/// The supervisor that has a guest's calls to answer: a `mirrord supervise` whose listener is of that guest's filter
/// cannot be told by the kernel, so it is told by when it was started.
fn supervisors() -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line == b"mirrord\0supervise\0" {
            found.push(pid);
        }
    }
    found
}

/// The one among them that speaks with the proxy of this guest's session.
pub(crate) fn supervisor_of(guest: i32) -> Option<i32> {
    let environment = fs::read(format!("/proc/{guest}/environ")).ok()?;
    let address =
        environment.split(|byte| *byte == 0).find_map(|it| it.strip_prefix(b"MIRRORD_SESSION_ID="))?;
    let id = String::from_utf8_lossy(address).into_owned();
    supervisors().into_iter().find(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&id)
    })
}

#[test]
fn without_its_supervisor_a_guest_fails_and_does_not_hang() {
    if let Some(why) = STORIES.missing() {
        return skip(&why);
    }
    let session = session(DataPath::Passed, Engine::Auto);
    let mut guest = Running::start(STORIES.outside(&session).arg("orphaned"));
    guest.says("before 0");
    let supervisor = supervisor_of(guest.pid()).expect("the guest has a supervisor");
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    assert_eq!(guest.end(), 0, "{}", guest.words());
    assert!(guest.words().contains("after Function not implemented"), "{}", guest.words());
}

#[test]
fn a_guest_that_waits_can_be_killed_and_its_supervisor_ends_with_it() {
    if let Some(why) = STORIES.missing() {
        return skip(&why);
    }
    let session = session(DataPath::Passed, Engine::Auto);
    let mut guest = Running::start(STORIES.outside(&session).arg("hanging"));
    guest.says("hanging");
    let supervisor = supervisor_of(guest.pid()).expect("the guest has a supervisor");
    guest.signal(Signal::SIGKILL);
    assert_eq!(guest.end(), 128 + 9);
    eventually("the end of the supervisor", Duration::from_secs(10), || {
        (!supervisors().contains(&supervisor)).then_some(())
    });
}
