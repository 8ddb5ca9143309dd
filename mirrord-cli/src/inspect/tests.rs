//! Real programs, looked at.

use std::os::unix::fs::PermissionsExt;

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

#[test]
fn a_program_of_glibc_is_entered_in_silence() {
    for line in [&["ls"][..], &["sh", "-c", "ls"], &["env", "A=1", "ls"]] {
        let silence = Inspection { findings: vec![], beyond_layer: vec![], takes_layer: true };
        assert_eq!(inspect_words(line), silence, "{line:?}");
    }
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
