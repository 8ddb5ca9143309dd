//! `mirrord diagnose latency`: a number for every hop that there is.

use insta::assert_snapshot;
use mirrord_tests::pod::Pod;

use crate::screen::Desk;

/// The average of a row.
fn average(seen: &str, row: &str) -> f64 {
    let line = seen.lines().find_map(|line| line.strip_prefix(row));
    let line = line.unwrap_or_else(|| panic!("no `{row}` in {seen}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn every_hop_of_a_session_is_measured() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    for data_path in ["passed", "proxied"] {
        let words = ["--count", "5", "--to", "db.shop:7", "--data-path", data_path, "-t", &pod.target()];
        let seen = desk.run(&[&["diagnose", "latency"][..], &words].concat());
        assert!(seen.ends_with("exit code 0"), "{seen}");
        let (near, far) = (average(&seen, "guest to proxy"), average(&seen, "guest to agent, whole"));
        assert!(near > 0.0 && far > 0.0, "{seen}");
        assert!(average(&seen, "guest to db.shop:7, whole") > 0.0, "{seen}");
        assert!(seen.contains("\nproxy to agent") && seen.contains("\nagent to db.shop:7"), "{seen}");
        assert!(!seen.contains("API server"), "{seen}");
    }
}

#[test]
fn a_place_that_nobody_can_connect_to_is_told() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    let ask = |to: &str| {
        let words = ["diagnose", "latency", "--count", "1", "--to", to, "-t", &pod.target()];
        let output = desk.mirrord(&words).env("MIRRORD_PROGRESS_MODE", "off").output().unwrap();
        desk.seen(&output)
    };
    assert_snapshot!("nobody_listens", ask("127.0.0.1:1"));
    assert_snapshot!("no_such_name", ask("nobody.shop:80"));
    assert_snapshot!("no_place", ask("db.shop"));
}
