//! Floor 3, second engine: programs that no layer can enter, and what only a supervised one can get wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot be told has failed")]

mod ancestor;
mod children;
mod debuggers;
mod developer;
mod mistakes;
mod names;
mod programs;
mod refused;
mod signals;

use std::{process::Command, sync::OnceLock};

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    pod::Pod,
    running::Running,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use serde_json::{Value, json};

/// The pod that most stories share. It ends with this process.
fn pod() -> &'static Pod {
    static POD: OnceLock<Pod> = OnceLock::new();
    POD.get_or_init(|| Pod::start().expect("the pretend pod starts"))
}

/// What the sessions of these stories have switched on.
fn feature() -> Value {
    json!({ "network": { "incoming": { "mode": "steal" }, "outgoing": { "unix_streams": ["^/run/"] } } })
}

fn session(data_path: DataPath, engine: Engine) -> Session {
    Session::new(pod(), data_path, &feature()).by(engine)
}

/// The guest that has a word for each story.
const STORIES: Guest = Guest { tongue: Tongue::Static, name: "supervised" };

/// The same command, run by another one.
fn behind(prefix: &[&str], command: &Command) -> Command {
    let mut whole = Command::new(prefix[0]);
    whole.args(&prefix[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        whole.current_dir(folder);
    }
    whole
}

/// What a program and mirrord say on one stream, as on a terminal, and the exit code.
fn heard(command: &mut Command) -> (String, i32) {
    let mut running = Running::start(command.env("MIRRORD_PROGRESS_MODE", "std"));
    let code = running.end();
    (running.words(), code)
}

/// What a story says outside, by both data paths; nothing if it cannot be told here.
fn told(story: &str) -> Option<Transcript> {
    if let Some(why) = STORIES.missing() {
        skip(&why);
        return None;
    }
    let mut told: Vec<Transcript> = Vec::new();
    for data_path in DataPath::ALL {
        let session = session(data_path, Engine::Auto);
        told.push(Transcript::of(STORIES.outside(&session).arg(story)));
    }
    assert_eq!(told[0], told[1], "both data paths");
    told.pop()
}
