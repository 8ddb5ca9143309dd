//! Progress, in each way that somebody may want it.

use insta::assert_snapshot;
use serde_json::Value;

use crate::screen::Desk;

fn told(mode: &str, words: &[&str]) -> String {
    let desk = Desk::new();
    desk.seen(&desk.mirrord(words).env("MIRRORD_PROGRESS_MODE", mode).output().unwrap())
}

#[test]
fn a_session_is_told_in_lines_before_the_guests_own() {
    assert_snapshot!("plain", told("std", &["exec", "echo", "the guest"]));
    assert_snapshot!("dumb", told("dumb", &["exec", "echo", "the guest"]));
    assert_snapshot!("off", told("off", &["exec", "echo", "the guest"]));
}

#[test]
fn an_editor_reads_one_object_per_line() {
    let seen = told("json", &["exec", "env", "-i", "echo", "the guest"]);
    assert_snapshot!("json", seen);
    let objects = seen.lines().filter(|line| line.starts_with('{'));
    let types: Vec<String> = objects
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert!(types.len() > 4 && types.contains(&"Warning".to_owned()), "{types:?}");
}

#[test]
fn what_fails_is_finished_without_success() {
    assert_snapshot!("json_failure", told("json", &["exec", "no-such-command"]));
}

#[test]
fn an_unknown_way_is_told_as_usual_with_a_warning() {
    let seen = told("loud", &["exec", "echo", "the guest"]);
    assert!(seen.contains("warning: `MIRRORD_PROGRESS_MODE` names no way of telling progress"), "{seen}");
    assert!(seen.contains("Ready!"), "{seen}");
}

#[test]
fn a_level_that_no_log_has_is_refused_before_anything_starts() {
    let desk = Desk::new();
    let mut command = desk.mirrord(&["exec", "echo", "the guest"]);
    let seen = desk.seen(&command.env("MIRRORD_AGENT_RUST_LOG", "mirrord=chatty").output().unwrap());
    assert!(seen.contains("`agent.log_level` is `mirrord=chatty`"), "{seen}");
    assert!(!seen.contains("the guest"), "{seen}");
}
