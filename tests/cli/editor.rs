//! What an editor plays with `mirrord ext`: it reads the stream, starts the program itself, and sees the session end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mirrord_tests::{
    eventually::eventually,
    ground,
    guest::{Guest, Tongue},
    pod::Pod,
    programs::system,
};
use serde_json::Value;

use crate::screen::Desk;

const PATIENCE: Duration = Duration::from_secs(30);

/// An editor that waits for the environment.
struct Editor {
    ext: Child,
    /// Every object that came.
    told: Vec<Value>,
    /// What the last one had to say.
    answer: Value,
}

impl Editor {
    fn begin(desk: &Desk, words: &[&str]) -> Self {
        let mut ext = desk.mirrord(words).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(ext.stdout.take().unwrap()).lines();
        let mut told: Vec<Value> = Vec::new();
        let answer = loop {
            let line = lines.next().unwrap_or_else(|| panic!("ended after {told:?}")).unwrap();
            let object: Value = serde_json::from_str(&line).unwrap();
            told.push(object.clone());
            if object["type"] == "FinishedTask" && object["name"] == "mirrord preparing to launch" {
                assert_eq!(object["success"], true, "{told:?}");
                break serde_json::from_str(object["message"].as_str().unwrap()).unwrap();
            }
        };
        // Whoever stops reading must not be the session's end.
        Self { ext, told, answer }
    }

    /// Starts a program as editors do: their own environment, this laid over it.
    fn launch(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        for (name, value) in self.answer["environment"].as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
        for name in self.answer["env_to_unset"].as_array().unwrap() {
            command.env_remove(name.as_str().unwrap());
        }
        command
    }

    fn end(&mut self) -> i32 {
        let status = eventually("the end of `ext`", PATIENCE, || self.ext.try_wait().unwrap());
        status.code().unwrap()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.ext.kill();
        let _ = self.ext.wait();
    }
}

const SETTINGS: &str = r#"{
    "feature": { "env": { "override": { "MINE": "over" }, "unset": ["EDITOR_SECRET"] } },
    "internal_proxy": { "idle_timeout": 1 }
}"#;

#[test]
fn an_editor_starts_a_program_with_the_environment_it_was_told() {
    if system("python3").is_none() {
        return ground::skip("no python3");
    }
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    desk.write("x.json", SETTINGS);
    let mut editor =
        Editor::begin(&desk, &["ext", "-t", &pod.target(), "-f", "x.json", "-e", "/usr/bin/python3"]);
    let types: Vec<&str> = editor.told.iter().map(|object| object["type"].as_str().unwrap()).collect();
    assert_eq!(editor.told[0]["name"], "mirrord preparing to launch");
    assert!(types.contains(&"NewTask") && types.last() == Some(&"FinishedTask"), "{types:?}");
    assert_eq!(editor.answer["patched_path"], Value::Null);
    assert_eq!(editor.answer["uses_operator"], false);
    assert_eq!(editor.answer["env_to_unset"], serde_json::json!(["AWS_PROFILE", "EDITOR_SECRET"]));
    let story = "import os, socket; print(open('/app/secret.key').read().strip(), os.environ['MINE'], \
                 socket.create_connection(('10.77.0.2', 7001)).recv(100).decode().strip())";
    let output = editor.launch("/usr/bin/python3", &["-c", story]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("only the pod has this over you are 10.77.0.2"), "{output:?}");
    assert_eq!(editor.end(), 0);
}

/// What `ext` warned of.
fn warnings(editor: &Editor) -> String {
    let warnings = editor.told.iter().filter(|object| object["type"] == "Warning");
    warnings.map(|object| object["message"].as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn an_editor_starts_a_program_that_no_layer_enters_by_the_path_it_was_told() {
    let guest = Guest { tongue: Tongue::Static, name: "supervised" };
    if let Some(why) = guest.missing() {
        return ground::skip(&why);
    }
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    desk.write("x.json", SETTINGS);
    let program = guest.program().display().to_string();
    let mut editor = Editor::begin(&desk, &["ext", "-t", &pod.target(), "-f", "x.json", "-e", &program]);
    assert!(
        warnings(&editor).contains("is a guest only if `patched_path` is started in its place"),
        "{:?}",
        editor.told
    );
    let path = editor.answer["patched_path"].as_str().unwrap().to_owned();
    let output = editor.launch(&path, &["closed"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "number 3, 7 bytes\n", "{output:?}");
    assert_eq!(editor.end(), 0);
}

#[test]
fn an_editor_is_told_what_the_ordered_layer_cannot_enter() {
    let guest = Guest { tongue: Tongue::Static, name: "supervised" };
    if let Some(why) = guest.missing() {
        return ground::skip(&why);
    }
    let desk = Desk::new();
    desk.write("x.json", r#"{"engine": "layer", "internal_proxy": {"start_idle_timeout": 0}}"#);
    let mut editor =
        Editor::begin(&desk, &["ext", "-f", "x.json", "-e", &guest.program().display().to_string()]);
    assert!(warnings(&editor).contains("is statically linked; mirrord cannot see"), "{:?}", editor.told);
    assert_eq!(editor.answer["patched_path"], Value::Null);
    assert_eq!(editor.end(), 0);
}

#[test]
fn the_session_of_an_editor_lives_while_a_process_of_its_program_does() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    desk.write("x.json", SETTINGS);
    let mut editor = Editor::begin(&desk, &["ext", "-t", &pod.target(), "-f", "x.json"]);
    let mut guest = editor.launch("/bin/cat", &["/app/secret.key", "-"]);
    let mut guest = guest.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(guest.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "only the pod has this\n");
    assert_eq!(editor.ext.try_wait().unwrap(), None);
    drop(guest.stdin.take());
    guest.wait().unwrap();
    assert_eq!(editor.end(), 0);
}

#[test]
fn a_session_that_no_program_joins_ends_after_its_time() {
    let desk = Desk::new();
    desk.write("x.json", r#"{"internal_proxy": {"start_idle_timeout": 1}}"#);
    let mut editor = Editor::begin(&desk, &["ext", "-f", "x.json"]);
    assert_eq!(editor.end(), 0);
}

#[test]
fn an_editor_reads_the_summary_if_it_asks_for_it() {
    let desk = Desk::new();
    desk.write("x.json", r#"{"internal_proxy": {"start_idle_timeout": 0}}"#);
    let mut command = desk.mirrord(&["ext", "-f", "x.json"]);
    let output = command.env("MIRRORD_EXT_PRINT_CONFIG", "TRUE").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(r#"{"type":"Info","message":"target: none"}"#), "{said}");
}

#[test]
fn an_editor_reads_errors_as_one_object() {
    let desk = Desk::new();
    let output = desk.mirrord(&["ext", "-t", "pid/4194305"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    let error: Value = serde_json::from_str(&words).unwrap_or_else(|_| panic!("{words}"));
    assert_eq!(error["message"], "cannot find the process `4194305`");
    assert_eq!(error["help"], "`ps -e` lists the processes that run");
    assert_eq!(error["severity"], "error");
    assert!(error["causes"].is_array() && error["labels"].is_array() && error["related"].is_array());
    assert!(error["code"].is_string());
    let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap().to_owned();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&last["type"], &last["success"]), (&"FinishedTask".into(), &false.into()));
}
