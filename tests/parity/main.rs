//! Floor 3: every guest does outside what it does inside the pod.
//!
//! Each guest is run bare inside the pod, and then outside, once for each data path and each engine; the transcripts must match.
//! A difference is a bug in one of three places, and the transcript says which.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot be told has failed")]

mod bound;
mod bulk;
mod clients;
mod container;
mod load;
mod programs;
mod rootless;
mod servers;
mod suites;
mod workshop;

use std::{fs, sync::OnceLock};

use mirrord_tests::{
    ground::skip,
    guest::Guest,
    pod::Pod,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use serde_json::Value;

/// The pod that most stories share. It ends with this process.
fn pod() -> &'static Pod {
    static POD: OnceLock<Pod> = OnceLock::new();
    POD.get_or_init(|| Pod::start().expect("the pretend pod starts"))
}

/// Runs a guest bare inside, then outside by both data paths and both engines.
fn compare(guest: Guest, feature: &Value) {
    if let Some(why) = guest.missing() {
        return skip(&why);
    }
    compare_in(pod(), guest, feature);
}

/// The same in another pod.
fn compare_in(pod: &Pod, guest: Guest, feature: &Value) {
    let bare = Transcript::of(&mut guest.inside(pod));
    let mut differences = Vec::new();
    for (data_path, engine) in wanted_ways() {
        let session = Session::new(pod, data_path, feature).by(engine);
        let outside = Transcript::of(&mut guest.outside(&session));
        if let Some(difference) = bare.difference(&outside) {
            differences.push(format!("{data_path:?} by {engine:?}:\n{difference}"));
        }
    }
    assert!(differences.is_empty(), "{guest:?}\n{}", differences.join("\n\n"));
}

/// Both data paths, unless one is named: for work at the desk.
fn wanted_paths() -> Vec<DataPath> {
    let wanted = std::env::var("MIRRORD_TEST_DATA_PATH").unwrap_or_default();
    DataPath::ALL.into_iter().filter(|it| wanted.is_empty() || it.name() == wanted).collect()
}

/// How descriptors reach a guest, and how its calls are caught.
type Way = (DataPath, Engine);

/// Every data path by every engine, unless one is named: for work at the desk.
fn wanted_ways() -> Vec<Way> {
    let wanted = std::env::var("MIRRORD_TEST_ENGINE").unwrap_or_default();
    let engines = Engine::BOTH.into_iter().filter(|it| wanted.is_empty() || it.name() == wanted);
    engines.flat_map(|engine| wanted_paths().into_iter().map(move |path| (path, engine))).collect()
}

/// As [`compare`], for a guest that changes files there: in a pod of its own, because others look through the shared one.
fn compare_writer(guest: Guest, feature: &Value) {
    if let Some(why) = guest.missing() {
        return skip(&why);
    }
    let pod = Pod::start().expect("the pretend pod starts");
    compare_in(&pod, guest, feature);
    let left: Vec<_> = fs::read_dir(pod.path("/data/out")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "{guest:?} has left {left:?} there");
}
