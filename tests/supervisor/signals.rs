//! Calls that wait can be interrupted, as the guest's handlers want it.

use mirrord_tests::{
    guest::{Guest, Tongue},
    running::Running,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use serde_json::json;

use crate::{STORIES, mistakes::supervisor_of, pod, programs::compare, session, told};

const WAITS: Guest = Guest { tongue: Tongue::Static, name: "waits" };

#[test]
fn calls_that_wait_are_interrupted_and_watched_sockets_stay_watched() {
    compare(WAITS);
}

#[test]
fn another_user_reaches_what_stays_here_from_a_folder_there() {
    if !mirrord_tests::ground::is_root() || WAITS.missing().is_some() {
        return mirrord_tests::ground::skip("only root becomes another user, with gcc");
    }
    for data_path in DataPath::ALL {
        let session = Session::new(pod(), data_path, &json!({})).by(Engine::Supervisor);
        let told = Transcript::of(WAITS.outside(&session).arg("another"));
        let expected = "stat done\naccess done\nno access Permission denied\nopen done\nread done\npath done\n\
            secret Permission denied\nmake done\nowner 65534 65534\nremove done\nforbidden Permission denied\n";
        assert_eq!(told.stdout, expected, "{data_path:?}: {told:?}");
    }
}

#[test]
fn an_accept_fails_when_a_handler_does_not_restart_it() {
    let Some(told) = told("interrupted") else { return };
    assert_eq!(told.stdout, "accept 1 Interrupted system call, 1 alarms\n");
}

#[test]
fn an_accept_goes_on_when_a_handler_restarts_it() {
    let Some(told) = told("restarted") else { return };
    assert_eq!(told.stdout, "accept 1, 1 alarms\n");
}

/// For how long a process has run, in hundredths of a second (`proc_pid_stat(5)`).
fn spent(pid: i32) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind = told.rsplit(')').next().unwrap();
    behind.split_ascii_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_thousand_threads_that_wait_in_an_accept_cost_nothing() {
    if let Some(why) = STORIES.missing() {
        return mirrord_tests::ground::skip(&why);
    }
    let session = session(DataPath::Passed, Engine::Auto);
    let mut guest = Running::start(STORIES.outside(&session).arg("crowd"));
    guest.says("all wait");
    let supervisor = supervisor_of(guest.pid()).expect("the guest has a supervisor");
    let before = spent(supervisor);
    guest.says("nobody came");
    let n_ticks = spent(supervisor) - before;
    // Looked at every ten milliseconds, they cost more than a processor.
    assert!(n_ticks <= 40, "{n_ticks} hundredths of two seconds");
    assert_eq!(guest.end(), 0, "{}", guest.words());
    assert!(guest.words().ends_with("20 came\n"), "{}", guest.words());
}
