//! Real programs, looked at.

use std::{
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
};

use super::*;

fn inspect_words(line: &[&str]) -> Inspection {
    inspect_with(line, &ProcessRules::default())
}

fn inspect_with(line: &[&str], rules: &ProcessRules) -> Inspection {
    let command: Vec<OsString> = line.iter().map(OsString::from).collect();
    let path = std::env::var_os("PATH");
    let program = program::find(&command[0], path.as_deref()).unwrap();
    inspect(&program, &command, path.as_deref(), rules)
}

fn says(inspection: &Inspection, words: &str) -> bool {
    inspection.findings.iter().any(|finding| finding.what.contains(words))
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_of_glibc_is_entered_in_silence() {
    for line in [&["ls"][..], &["sh", "-c", "ls"], &["env", "A=1", "ls"]] {
        assert_eq!(inspect_words(line), Inspection { findings: vec![], takes_layer: true }, "{line:?}");
    }
}

#[test]
fn a_static_program_is_told_also_behind_env_and_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("static");
    let source = folder.path().join("x.c");
    fs::write(&source, "int main(void) { return 0; }").unwrap();
    let built = Command::new("cc").arg("-static").arg("-o").args([&program, &source]).status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler that links statically");
        return;
    }
    let program = program.to_str().unwrap();
    let script = folder.path().join("script");
    write_script(&script, &format!("#!{program}\n"));
    let chain = folder.path().join("chain");
    write_script(&chain, &format!("#!/usr/bin/env -S A=1 {}\n", script.display()));
    for line in
        [&[program][..], &["env", "A=1", program], &[script.to_str().unwrap()], &[chain.to_str().unwrap()]]
    {
        let inspection = inspect_words(line);
        assert!(says(&inspection, "static` is statically linked"), "{line:?}: {inspection:?}");
        assert_eq!(inspection.findings.len(), 1);
    }
}

#[test]
fn a_program_of_musl_is_told_and_not_given_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    let (program, source) = (folder.path().join("musl"), folder.path().join("x.c"));
    fs::write(&source, "int main(void) { return 0; }").unwrap();
    let built = Command::new("musl-gcc").arg("-o").args([&program, &source]).status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no musl-gcc");
        return;
    }
    let inspection = inspect_words(&[program.to_str().unwrap()]);
    assert!(says(&inspection, "another C library than glibc") && !inspection.takes_layer, "{inspection:?}");
}

#[test]
fn a_program_that_runs_as_its_owner_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("as-owner");
    fs::copy("/bin/true", &program).unwrap();
    if chown(&program, Some(65534), Some(65534)).is_err() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    if statvfs(&program).unwrap().f_flag.contains(StatVfsMountFlags::NOSUID) {
        eprintln!("skipped: set-uid means nothing in the temporary folder");
        return;
    }
    assert!(says(&inspect_words(&[program.to_str().unwrap()]), "runs as its owner (set-uid)"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o2755)).unwrap();
    assert!(says(&inspect_words(&[program.to_str().unwrap()]), "runs as its group (set-gid)"));
}

#[test]
fn what_clears_the_environment_is_told() {
    assert!(says(&inspect_words(&["env", "-i", "ls"]), "clears the environment"));
}

#[test]
fn a_program_to_skip_is_told() {
    let rules = ProcessRules { skip: vec!["ls".into()], skip_build_tools: false };
    assert!(says(&inspect_with(&["ls"], &rules), "`ls` is one of the programs to skip"));
}

#[test]
fn what_is_no_program_or_a_broken_one_is_left_to_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken");
    for bytes in [&b""[..], b"\x7fELF", b"\x7fELF\x02\x01\x01", b"#!", b"text"] {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let inspection = inspect_words(&[path.to_str().unwrap()]);
        assert!(inspection.findings.is_empty(), "{bytes:?}: {inspection:?}");
    }
    let mut boastful = vec![0xff; 4096];
    boastful[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    fs::write(&path, boastful).unwrap();
    inspect_words(&[path.to_str().unwrap()]);
}
