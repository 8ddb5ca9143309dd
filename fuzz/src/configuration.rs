//! Configuration files of every format: each means something, or is told what is wrong with it.

use std::collections::BTreeMap;

use mirrord_config::{FileSource, Input, resolve, verify};

use super::taken::Taken;

/// Configuration files of every format.
pub fn configuration(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    let name = ["x.json", "x.toml", "x.yaml", "x", "-"][taken.below(5)];
    // A template of a user's own may count as far as it likes.
    if taken.0.windows(5).any(|word| word == b"range") {
        return;
    }
    let input = || Input {
        file: Some(FileSource { path: name.into(), bytes: taken.0.to_vec() }),
        environment: BTreeMap::from([("USER".to_owned(), "ann".to_owned())]),
        flags: BTreeMap::new(),
        git_branch: &|| Some("fix-db".to_owned()),
        home: Some("/home/ann".into()),
        temp_dir: "/tmp".into(),
        make_key: &|| "0beef".to_owned(),
    };
    let told = verify(&input(), true, true);
    assert!(told["type"] == "Fail" || told["type"] == "Success");
    match resolve(&input()) {
        Ok(resolved) => {
            // What is handed to the guest's processes can be read by them.
            let facts = mirrord_config::handoff::Facts::default();
            let handoff = mirrord_config::handoff::Handoff { rules: resolved.lowered.rules, facts };
            if let Ok(bytes) = handoff.encode() {
                assert!(mirrord_config::handoff::Handoff::decode(&bytes).is_ok());
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "it fails, and nothing is wrong");
            assert!(problems.0.iter().all(|problem| !problem.to_string().is_empty()));
        }
    }
}
