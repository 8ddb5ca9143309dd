//! Programs that a guest starts.

use super::{calls, handoff, shrug};
use crate::scripted_proxy::ScriptedProxy;

fn session() -> ScriptedProxy {
    ScriptedProxy::start(&handoff(|_, _| {}), |question, _| shrug(question))
}

#[test]
fn a_child_with_an_environment_of_its_own_is_a_guest() {
    let session = session();
    for call in ["execve", "execv", "execvp", "spawn"] {
        assert_eq!(calls(&session, &format!("{call} -")), "target", "{call}");
    }
    assert_eq!(calls(&session, "system"), "target\n0");
}

#[test]
fn a_child_that_is_to_load_nothing_loads_nothing() {
    let own = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(calls(&session(), "execve dont-load"), own);
}

#[test]
fn a_child_of_another_c_library_runs_without_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("other.c"), folder.path().join("other"));
    let text = "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"LD_PRELOAD\")); return 0; }\n";
    std::fs::write(&source, text).unwrap();
    match std::process::Command::new("musl-gcc").arg("-o").args([&program, &source]).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => return eprintln!("skipped: there is no musl-gcc"),
    }
    let session = session();
    let script = format!("{}; echo $?", program.display());
    let output = crate::guest::command(&session, "/bin/bash").args(["-c", &script]).output().unwrap();
    // `LD_PRELOAD` is empty, and the program ends well.
    assert_eq!(crate::guest::said(&output), "\n0");
}
