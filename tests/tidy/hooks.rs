//! The census of hooked calls: every row of the table is in `docs/hooks.md`.

use std::{collections::BTreeSet, fs, process::Command};

use crate::{hold, repository};

#[test]
fn the_census_is_that_of_the_table() {
    let root = repository();
    let page = fs::read_to_string(root.join("docs/hooks.md")).unwrap_or_default();
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(["run", "--quiet", "--package", "xtask", "--", "hooks", "--print"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let fresh = String::from_utf8(output.stdout).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let broken: Vec<String> = lines(&fresh).symmetric_difference(&lines(&page)).cloned().collect();
    hold("nobody believes a census that is not counted: run `cargo xtask hooks`", &broken);
}
