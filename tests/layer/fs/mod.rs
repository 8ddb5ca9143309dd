//! Files: each call taken, with a result that only the target could give; left; and refused.

use std::{path::Path, process::Output};

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::rules::{
    Rules,
    fs::{FsMode, FsRules},
    pattern::PatternSet,
};
use mirrord_protocol::{
    GuestPath,
    proxy::{FromProxy, ToProxy},
};
use tempfile::TempDir;

use crate::{
    guest,
    scripted_proxy::ScriptedProxy,
    target::{self, Target},
};

mod change;
mod look;

/// A target with a few files, and a session whose guests see them.
pub(super) struct Session {
    pub(super) root: TempDir,
    pub(super) proxy: ScriptedProxy,
}

impl Session {
    pub(super) fn new(mode: FsMode) -> Self {
        Self::with(mode, DataPath::Passed, |_| {})
    }

    pub(super) fn with(mode: FsMode, data_path: DataPath, change: impl FnOnce(&mut FsRules)) -> Self {
        let root = tempfile::Builder::new().prefix("there-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        furnish(root.path());
        let mut fs = FsRules { mode, not_found: set(&["^/hidden"]), ..FsRules::default() };
        fs.mapping = set(&["^/mapped/"]);
        change(&mut fs);
        let facts = Facts {
            data_path,
            has_target: true,
            path_prefix: target::bytes(root.path()),
            looks_alike: data_path == DataPath::Passed,
            start_dir: b"/".to_vec(),
            ..Facts::default()
        };
        let handoff = Handoff { rules: Rules { fs, ..Rules::default() }, facts };
        let target = Target::new(root.path(), data_path == DataPath::Proxied);
        let proxy = ScriptedProxy::start(&handoff, move |question, _| match question {
            ToProxy::Map(path) => FromProxy::Path(mapped(path)).into(),
            question => target.answer(question),
        });
        Self { root, proxy }
    }

    /// Runs `calls`, separated by `;`, and returns what it prints.
    pub(super) fn calls(&self, calls: &str) -> String {
        guest::said(&self.run(calls))
    }

    fn run(&self, calls: &str) -> Output {
        let mut command = guest::command(&self.proxy, guest::compiled("calls"));
        command.args(calls.split(' ')).output().unwrap()
    }

    /// Each call prints this.
    pub(super) fn each(&self, stories: &[(&str, &str)]) {
        for (calls, expected) in stories {
            assert_eq!(self.calls(calls), *expected, "{calls}");
        }
    }

    /// What a shell says.
    pub(super) fn shell(&self, script: &str) -> String {
        guest::said(&guest::command(&self.proxy, "/bin/sh").args(["-c", script]).output().unwrap())
    }
}

fn mapped(path: &GuestPath) -> GuestPath {
    let rest = path.as_bytes().strip_prefix(b"/mapped").unwrap();
    GuestPath([b"/data", rest].concat())
}

pub(super) fn set(patterns: &[&str]) -> PatternSet {
    PatternSet::compile(patterns).unwrap()
}

/// `/data/file`, a link to it, a folder with two files; names that exist nowhere here.
fn furnish(root: &Path) {
    std::fs::create_dir_all(root.join("data/folder/deep")).unwrap();
    std::fs::write(root.join("data/file"), "of the target").unwrap();
    std::fs::write(root.join("data/folder/one.txt"), "1").unwrap();
    std::fs::write(root.join("data/folder/two.txt"), "22").unwrap();
    std::fs::write(root.join("data/folder/deep/three"), "333").unwrap();
    std::os::unix::fs::symlink("file", root.join("data/link")).unwrap();
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/hosts"), "hosts of the target").unwrap();
}
