//! Programs and scripts that are only there: started outside as inside.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    sync::OnceLock,
};

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    pod::Pod,
    programs,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use serde_json::json;

use super::compare_in;

const STARTED: Guest = Guest { tongue: Tongue::C, name: "started" };

/// What is in the folder, its text and its mode.
const SCRIPTS: [(&str, &str, u32); 5] = [
    ("greet", "#!/bin/sh\necho \"$0: $*\"\n", 0o755),
    ("by-tool", "#! /data/bin/tool  told \n", 0o755),
    ("plain", "#!/bin/sh\necho plain\n", 0o644),
    ("text", "echo \"text: $*\"\n", 0o755),
    ("broken", "#!/nowhere/at/all\n", 0o755),
];

/// A pod with a folder of programs that nobody else has.
fn workshop() -> &'static Pod {
    static POD: OnceLock<Pod> = OnceLock::new();
    POD.get_or_init(|| {
        let pod = Pod::start().expect("the pretend pod starts");
        let folder = pod.path("/data/bin");
        fs::create_dir_all(folder.join("deep")).unwrap();
        for (name, text, mode) in SCRIPTS {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        programs::copy(&STARTED.program(), &folder.join("tool"));
        pod
    })
}

fn play(tongue: Tongue) {
    let guest = Guest { tongue, name: "started" };
    match guest.missing().or_else(|| STARTED.missing()) {
        Some(why) => skip(&why),
        None => compare_in(workshop(), guest, &json!({})),
    }
}

#[test]
fn every_way_to_start_a_program_finds_what_is_only_there() {
    play(Tongue::C);
}

#[test]
fn a_shell_starts_what_is_only_there() {
    play(Tongue::Shell);
}

#[test]
fn go_starts_what_is_only_there() {
    let guest = Guest { tongue: Tongue::Go, name: "started" };
    if let Some(why) = guest.missing().or_else(|| STARTED.missing()) {
        return skip(&why);
    }
    let bare = Transcript::of(&mut guest.inside(workshop()));
    for data_path in DataPath::ALL {
        let session = Session::new(workshop(), data_path, &json!({})).by(Engine::Supervisor);
        let outside = Transcript::of(&mut guest.outside(&session));
        assert_eq!(bare.difference(&outside), None, "{data_path:?}");
    }
}

#[test]
fn a_static_program_that_is_only_there_is_handed_over() {
    let there = Guest { tongue: Tongue::Static, name: "started" };
    if let Some(why) = there.missing().or_else(|| STARTED.missing()) {
        return skip(&why);
    }
    let pod = workshop();
    programs::copy(&there.program(), &pod.path("/data/static"));
    for data_path in DataPath::ALL {
        let session = Session::new(pod, data_path, &json!({})).by(Engine::Auto);
        let mut command = session.command(&programs::system("bash").unwrap());
        let told = Transcript::of(command.args(["-c", "PATH=$PATH:/data; static told; echo $?"]));
        assert_eq!(told.stdout, "[static] 2 words, last [told], NAME=-, a leaf\n7\n", "{told:?}");
    }
}

#[test]
fn what_is_here_is_never_exchanged_for_what_is_there() {
    let pod = workshop();
    let here = tempfile::tempdir().unwrap();
    for (folder, word) in [(here.path().to_owned(), "here"), (pod.path("/data/bin"), "there")] {
        let path = folder.join("both");
        fs::write(&path, format!("#!/bin/sh\necho {word}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let text = "import os, sys\n\
        os.environ['PATH'] = sys.argv[1]\n\
        print(os.waitpid(os.posix_spawnp('both', ['both'], os.environ), 0)[1])";
    for engine in Engine::BOTH {
        let session = Session::new(pod, DataPath::Passed, &json!({})).by(engine);
        let Some(python) = programs::system("python3") else { return skip("there is no python3") };
        let mut command = session.command(&python);
        let folders = format!("{}:/data/bin", here.path().display());
        let told = Transcript::of(command.args(["-u", "-c", text]).arg(folders));
        assert_eq!(told.stdout, "here\n0\n", "{engine:?} {told:?}");
    }
}

#[test]
fn a_guest_does_not_look_for_libraries_where_cargo_keeps_its_own() {
    let session = Session::new(workshop(), DataPath::Passed, &json!({}));
    let told = Transcript::of(session.command(&programs::system("env").unwrap()).arg("-0"));
    assert!(told.stdout.contains("MIRRORD_") && !told.stdout.contains("LD_LIBRARY_PATH="), "{told:?}");
}
