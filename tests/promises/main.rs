//! The numbers of docs/promises.md that hold on any machine; `cargo xtask bench` measures the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot be told has failed")]

#[path = "bench/rows.rs"]
#[expect(dead_code, reason = "the bench reads the rest of a row")]
mod rows;

use std::{fs, time::Instant};

use mirrord_tests::{
    pod::Pod,
    programs::{repository, system},
    session::{DataPath, Session},
    transcript::Transcript,
};
use serde_json::json;

#[test]
fn a_session_starts_and_ends_within_a_second() {
    let pod = Pod::start().unwrap();
    for data_path in DataPath::ALL {
        let session = Session::new(&pod, data_path, &json!({}));
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            let told = Transcript::of(&mut session.command(&system("true").unwrap()));
            assert_eq!(told.code, Some(0), "{told:?}");
            best = best.min(start.elapsed().as_secs_f64());
        }
        assert!(best < 1.0, "{data_path:?}: the best of five took {best} s, in a build for the desk");
    }
}

#[test]
fn every_row_that_is_measured_is_promised_or_explained() {
    let page = fs::read_to_string(repository().join("docs/promises.md")).unwrap();
    for row in rows::ROWS {
        let line = page.lines().find(|line| line.starts_with(&format!("| {} ", row.what)));
        assert!(line.is_some(), "docs/promises.md has no row for {}", row.what);
    }
}
