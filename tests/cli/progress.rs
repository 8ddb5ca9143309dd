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
