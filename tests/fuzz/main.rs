//! Floor 1: whatever peers and files say. The fuzzer's own targets, driven by chance over the committed corpus.
//!
//! A fuzzer that watches the code (`cargo fuzz`, see `CONTRIBUTING.md`) needs a nightly compiler; what it has found
//! worth keeping lies in `fuzz/corpus`, and from there on these stories go for a minute in all, with any compiler. They
//! have the same seed every time; `MIRRORD_TEST_SEED` is another one, `MIRRORD_TEST_FUZZ_SECONDS` another patience.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot be told has failed")]

mod changes;
mod largest;
#[path = "../../fuzz/src/lib.rs"]
#[allow(
    clippy::missing_panics_doc,
    unreachable_pub,
    reason = "a crate of its own elsewhere, whose panics are its purpose"
)]
mod targets;

use std::{
    env, fs,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use changes::Changes;
use mirrord_tests::programs::repository;
use targets::TARGETS;

/// How long each target is tried.
const PATIENCE: Duration = Duration::from_millis(8600);

/// What longer takes than this goes on for ever, or could.
const LONGEST: Duration = Duration::from_secs(10);

/// The largest piece of memory that anything of this size may ask for at once.
const LARGEST: usize = 16 << 20;

/// The longest input.
const MOST_BYTES: usize = 64 << 10;

/// The committed inputs of a target; and for the languages every message that was ever released.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    let mut take = |folder: &Path, before: &[u8]| {
        let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files {
            if let Ok(bytes) = fs::read(file.path()) {
                inputs.push([before, &bytes].concat());
            }
        }
    };
    take(&repository().join("fuzz/corpus").join(name), &[]);
    let golden = repository().join("mirrord-protocol/tests/golden");
    let kinds = match name {
        "agent_words" => 0..10,
        "layer_words" => 0..2,
        _ => 0..0,
    };
    for kind in kinds {
        take(&golden, &[kind]);
    }
    if name == "configuration" {
        take(&repository().join("mirrord-config/tests/cases"), &[0]);
        take(&repository().join("mirrord-config/tests/cases"), &[1]);
        take(&repository().join("mirrord-config/tests/cases"), &[2]);
    }
    assert!(!inputs.is_empty(), "`{name}` has no corpus");
    inputs
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn tried(name: &str) {
    let target = TARGETS.iter().find(|(other, _)| *other == name).expect("there is such a target").1;
    let inputs = corpus(name);
    for input in &inputs {
        run(name, target, input);
    }
    let patience = number("MIRRORD_TEST_FUZZ_SECONDS").map_or(PATIENCE, Duration::from_secs);
    let mut changes = Changes::new(number("MIRRORD_TEST_SEED").unwrap_or(0), &inputs);
    let since = Instant::now();
    let mut n_tried = inputs.len();
    while since.elapsed() < patience {
        let input = changes.next(MOST_BYTES);
        run(name, target, &input);
        n_tried += 1;
    }
    // Not by a macro: the test harness would keep those words to itself.
    let _ = writeln!(std::io::stderr(), "{name}: {n_tried} inputs");
}

/// Tries one input; a failure tells it, as a file that is then a part of the corpus.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let since = Instant::now();
    largest::forget();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    let (largest, took) = (largest::told(), since.elapsed());
    let what = match outcome {
        Err(_) => "panics".to_owned(),
        Ok(()) if took > LONGEST => format!("takes {took:?}"),
        Ok(()) if largest > LARGEST => format!("asks for {largest} bytes at once"),
        Ok(()) => return,
    };
    let file =
        repository().join("fuzz/corpus").join(name).join(format!("found-{:016x}", changes::sum(input)));
    let kept = fs::create_dir_all(file.parent().unwrap()).and_then(|()| fs::write(&file, input));
    panic!("`{name}` {what} on {} bytes, kept as {} ({kept:?})", input.len(), file.display());
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    tried("frames");
}

#[test]
fn whatever_an_agent_or_a_proxy_says_is_refused_or_can_be_said_again() {
    tried("agent_words");
}

#[test]
fn whatever_a_layer_or_its_proxy_says_is_refused_or_can_be_said_again() {
    tried("layer_words");
}

#[test]
fn a_configuration_means_something_or_is_told_what_is_wrong() {
    tried("configuration");
}

#[test]
fn whatever_happens_the_kernel_is_left_as_it_was() {
    tried("routing");
}

#[test]
fn whatever_its_peer_says_a_trunk_holds_no_more_than_it_allowed() {
    tried("trunk");
}

#[test]
fn names_are_taken_apart_as_they_were_put_together() {
    tried("names");
}
