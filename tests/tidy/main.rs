//! Floor 0: the house rules.
//!
//! A rule that fails says which file broke it, and why the rule is there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a rule that cannot be checked has failed")]

mod arrows;
mod files;
mod hooks;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use mirrord_tests::programs::repository;

/// The crates that users get.
const PRODUCT: [&str; 7] = [
    "mirrord-protocol",
    "mirrord-core",
    "mirrord-config",
    "mirrord-trunk",
    "mirrord-layer",
    "mirrord-agent",
    "mirrord-cli",
];

/// A file of ours: its path in the repository, and its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }
}

/// Every Rust file of ours.
fn sources() -> Vec<Source> {
    let root = repository();
    let mut found = Vec::new();
    let folders = PRODUCT.iter().copied().chain(["tests", "xtask", "examples", "fuzz"]);
    for folder in folders {
        walk(&root.join(folder), &mut |path| {
            if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        });
    }
    assert!(found.len() > 30, "the sources were not found");
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

/// Fails with everything that broke a rule, and the rule's reason.
fn hold(reason: &str, broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n\nThe rule is there because {reason}.\n", broken.join("\n"));
}
