//! Programs that no layer can enter are told before they run.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use insta::assert_snapshot;

use crate::screen::Desk;

const SOURCE: &str = "int main(void) { return 7; }\n";

/// A program of a compiler, if there is one that can do it.
fn compiled(desk: &Desk, compiler: &[&str], name: &str) -> Option<PathBuf> {
    let source = desk.write("x.c", SOURCE);
    let program = desk.path(name);
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).arg("-o").args([&program, &source]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success()).then_some(program)
}

/// The warnings of a run, which goes no further: no agent can be started.
fn warnings(desk: &Desk, words: &[&str]) -> String {
    let mut command = desk.mirrord(&["exec", "--engine", "layer"]);
    let output = command.args(words).env("MIRRORD_AGENT_FILE", "/no/such/agent").output().unwrap();
    let seen = desk.seen(&output);
    seen.split("error: ").next().unwrap_or_default().to_owned()
}

#[test]
fn a_static_program_is_told_also_behind_scripts_and_env() {
    let desk = Desk::new();
    if compiled(&desk, &["cc", "-static"], "static").is_none() {
        eprintln!("skipped: there is no C compiler that links statically");
        return;
    }
    assert_snapshot!("static", warnings(&desk, &["./static"]));
    assert_snapshot!("static_behind_env", warnings(&desk, &["env", "A=1", "./static"]));
    let script = desk.path("script");
    write_script(&script, &format!("#!{}\n", desk.path("static").display()));
    let chain = desk.path("chain");
    write_script(&chain, &format!("#!/usr/bin/env -S A=1 {}\n", script.display()));
    assert_snapshot!("static_behind_a_chain", warnings(&desk, &["./chain"]));
}

#[test]
fn a_static_busybox_is_told_whatever_it_is_called() {
    let desk = Desk::new();
    let Some(busybox) = mirrord_tests::programs::system("busybox") else {
        eprintln!("skipped: there is no busybox");
        return;
    };
    std::os::unix::fs::symlink(busybox, desk.path("ls")).unwrap();
    let seen = warnings(&desk, &["./ls"]);
    // Some distributions link it dynamically.
    assert!(seen.is_empty() || seen.contains("`./ls` is statically linked"), "{seen}");
}

#[test]
fn a_program_of_musl_is_told_and_runs_as_if_nothing_were() {
    let desk = Desk::new();
    if compiled(&desk, &["musl-gcc"], "musl").is_none() {
        eprintln!("skipped: there is no musl-gcc");
        return;
    }
    assert_snapshot!("musl", warnings(&desk, &["./musl"]));
}

#[test]
fn a_program_that_runs_as_its_owner_is_told() {
    let desk = Desk::new();
    let program = desk.path("as-owner");
    mirrord_tests::programs::copy(Path::new("/bin/true"), &program);
    if chown(&program, Some(65534), Some(65534)).is_err() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let seen = warnings(&desk, &["./as-owner"]);
    if seen.is_empty() {
        eprintln!("skipped: set-uid means nothing in the temporary folder");
        return;
    }
    assert_snapshot!("set_uid", seen);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o2755)).unwrap();
    assert_snapshot!("set_gid", warnings(&desk, &["./as-owner"]));
}

#[test]
fn what_scrubs_the_environment_is_told() {
    let desk = Desk::new();
    desk.program("sudo", "exec true");
    assert_snapshot!("cleared", warnings(&desk, &["env", "-i", "ls"]));
    assert_snapshot!("sudo", warnings(&desk, &["sudo", "ls"]));
    desk.program("podman", "exec true");
    assert_snapshot!("containers", warnings(&desk, &["podman", "run", "x"]));
}

#[test]
fn a_program_to_skip_is_told() {
    let desk = Desk::new();
    assert_snapshot!("skipped", warnings(&desk, &["--skip-processes", "ls;cat", "ls"]));
}

#[test]
fn a_program_of_another_machine_is_told() {
    let desk = Desk::new();
    let mut program = fs::read("/bin/true").unwrap();
    // `e_machine` of the ELF header: S/390.
    program[18..20].copy_from_slice(&22_u16.to_le_bytes());
    let path = desk.path("foreign");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert_snapshot!("foreign", warnings(&desk, &["./foreign"]));
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
