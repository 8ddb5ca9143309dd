//! A few modules of `CPython`'s own tests, one for each area: `cargo xtask parity` runs them all by every way.

use mirrord_tests::{
    ground::skip,
    session::{DataPath, Engine},
    suite::{self, Reasons},
};

/// Every difference must have its reason in `docs/parity.md`.
fn check(module: &str, data_path: DataPath, engine: Engine) {
    if let Some(why) = suite::missing() {
        return skip(&why);
    }
    let bare = suite::inside(module, &[]);
    assert!(
        bare.values().any(|verdict| verdict.outcome == "ok"),
        "{module} has no test that passes: {bare:?}"
    );
    let (_, differences) = suite::compare(module, &bare, data_path, engine);
    let reasons = Reasons::read();
    let new: Vec<_> = differences.iter().filter(|it| !reasons.have(&it.test, data_path, engine)).collect();
    assert!(new.is_empty(), "{module}: {new:#?}");
}

#[test]
fn shutil_is_tested_by_cpython() {
    check("test_shutil", DataPath::Proxied, Engine::Layer);
}

#[test]
fn http_is_tested_by_cpython() {
    check("test_httplib", DataPath::Passed, Engine::Supervisor);
}

#[test]
fn http_servers_are_tested_by_cpython() {
    check("test_httpservers", DataPath::Proxied, Engine::Supervisor);
}

#[test]
fn urllib_is_tested_by_cpython() {
    check("test_urllib2_localnet", DataPath::Passed, Engine::Layer);
}

#[test]
fn epoll_is_tested_by_cpython() {
    check("test_epoll", DataPath::Proxied, Engine::Layer);
}
