//! From one engine to the other, without a gap.

use mirrord_tests::{
    ground::skip,
    programs::system,
    session::{DataPath, Engine},
    transcript::Transcript,
};

use crate::{STORIES, session};

/// What a shell says of its child.
fn of_the_shell(engine: Engine, data_path: DataPath, script: &str) -> Transcript {
    let session = session(data_path, engine);
    Transcript::of(session.command(&system("bash").unwrap()).args(["-c", script]))
}

#[test]
fn a_program_of_the_layer_hands_a_static_child_over() {
    if let Some(why) = STORIES.missing() {
        return skip(&why);
    }
    let program = STORIES.program().display().to_string();
    for data_path in DataPath::ALL {
        let told = of_the_shell(
            Engine::Auto,
            data_path,
            &format!("{program} storm; echo $?; cat /data/empty | wc -c"),
        );
        assert_eq!(told.stdout, "0 of 8000 failed\n0\n0\n", "{told:?}");
    }
}

#[test]
fn a_child_that_is_named_without_its_folder_is_found_and_handed_over() {
    let Some(python) = system("python3") else { return skip("there is no python3") };
    if let Some(why) = STORIES.missing() {
        return skip(&why);
    }
    let program = STORIES.program();
    let text = "import os, subprocess, sys\n\
        os.environ['PATH'] = sys.argv[1]\n\
        print(subprocess.run(['supervised-static', 'storm'], capture_output=True, text=True).stdout, end='')\n\
        pid = os.posix_spawnp('supervised-static', ['supervised-static', 'closed'], {})\n\
        print(os.waitpid(pid, 0)[1])";
    let session = session(DataPath::Passed, Engine::Auto);
    let mut command = session.command(&python);
    let told = Transcript::of(command.args(["-u", "-c", text]).arg(program.parent().unwrap()));
    assert_eq!(told.stdout, "0 of 8000 failed\nnumber 3, 7 bytes\n0\n", "{told:?}");
}

#[test]
fn what_a_supervised_program_starts_is_supervised() {
    for data_path in DataPath::ALL {
        let script = "cat /data/deep/er/still/yet/leaf; (cd /data && env ls orders.txt); python3 -c 'print(open(\"/data/empty\").read())'";
        let told = of_the_shell(Engine::Supervisor, data_path, script);
        assert_eq!(told.stdout, "a leaf\norders.txt\n\n", "{told:?}");
    }
}

#[test]
fn an_order_for_the_layer_is_kept_for_children_too() {
    if let Some(why) = STORIES.missing() {
        return skip(&why);
    }
    let program = STORIES.program().display().to_string();
    let told = of_the_shell(Engine::Layer, DataPath::Passed, &format!("{program} storm"));
    assert_eq!(told.stdout, "8000 of 8000 failed\n", "{told:?}");
}
