//! Which sessions there are, and their end, as `mirrord session` and other tools see it.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    time::Duration,
};

use insta::assert_snapshot;
use mirrord_tests::{eventually::eventually, pod::Pod, running::Running};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::screen::Desk;

const SOON: Duration = Duration::from_secs(20);

/// The sockets of the desk's sessions.
fn sockets(desk: &Desk) -> Vec<PathBuf> {
    let folder = fs::read_dir(desk.path(".mirrord/sessions")).into_iter().flatten();
    folder.map(|entry| entry.unwrap().path()).collect()
}

fn socket(desk: &Desk) -> PathBuf {
    eventually("a session's socket", SOON, || sockets(desk).pop())
}

/// Asks as any other tool would: the whole response.
fn ask(socket: &PathBuf, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn info(socket: &PathBuf) -> Value {
    serde_json::from_str(ask(socket, "GET /info").split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// A guest that lives until it is told otherwise.
fn guest(desk: &Desk, words: &[&str]) -> Running {
    let words = [&["exec"], words, &["--", "sh", "-c", "echo begun; exec sleep 1000"]].concat();
    let mut guest = Running::start(desk.mirrord(&words).env("MIRRORD_PROGRESS_MODE", "off"));
    guest.says("begun");
    guest
}

#[test]
fn a_session_answers_on_its_socket_and_the_socket_goes_with_it() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    desk.write("x.json", r#"{"feature": {"hostname": false}, "skip_build_tools": true}"#);
    let mut guest = guest(&desk, &["-t", &pod.target(), "-k", "mine", "-f", "x.json"]);
    let socket = socket(&desk);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&desk.path(".mirrord/sessions"))), (0o600, 0o700));
    assert!(ask(&socket, "GET /health").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask(&socket, "GET /kill").starts_with("HTTP/1.1 405 "));
    assert!(ask(&socket, "GET /nothing").starts_with("HTTP/1.1 404 "));
    let info = info(&socket);
    assert_eq!(socket.file_stem().unwrap().to_str(), info["session_id"].as_str());
    assert_eq!((&info["key"], &info["target"]), (&"mine".into(), &pod.target().into()));
    assert_eq!(info["config"]["feature"], serde_json::json!({ "hostname": false }));
    assert_eq!(info["config"]["skip_build_tools"], Value::Null);
    assert_eq!((&info["is_operator"], &info["namespace"]), (&false.into(), &Value::Null));
    assert_eq!(info["mirrord_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["processes"][0]["pid"], guest.pid());
    assert_eq!(info["processes"][0]["parent_pid"], std::process::id());
    assert_eq!(info["processes"][0]["process_name"], "sleep");
    assert_eq!(info["processes"][0]["cmdline"], serde_json::json!(["sleep", "1000"]));
    assert!(info["started_at"].as_str().unwrap().ends_with('Z'));
    guest.signal(Signal::SIGKILL);
    guest.end();
    eventually("the socket's end", SOON, || (!desk.path(".mirrord").exists()).then_some(()));
}

#[test]
fn what_happens_is_told_to_whoever_listens() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    let script = "echo begun; until [ -e go ]; do sleep 0.05; done; cat /etc/hostname";
    let words = ["exec", "-t", &pod.target(), "--", "sh", "-c", script];
    let mut guest = Running::start(desk.mirrord(&words).env("MIRRORD_PROGRESS_MODE", "off"));
    guest.says("begun");
    let mut stream = UnixStream::connect(socket(&desk)).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    // The head is sent when somebody listens.
    let mut told = vec![0; 15];
    stream.read_exact(&mut told).unwrap();
    desk.write("go", "");
    guest.end();
    stream.read_to_end(&mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("content-type: text/event-stream"), "{told}");
    for what in [r#"data: {"type":"LayerConnected","pid":"#, r#"data: {"type":"LayerDisconnected","pid":"#] {
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    let words = ["port-forward", "-t", &pod.target(), "--steal", "-R", "8080:1"];
    let mut running = Running::start(&mut desk.mirrord(&words));
    running.says("Ready!");
    let subscriptions = info(&socket(&desk))["port_subscriptions"].clone();
    assert_eq!(subscriptions, serde_json::json!([{ "port": 8080, "mode": "steal" }]));
}

#[test]
fn sessions_are_listed_and_ended_by_id_and_by_key() {
    let desk = Desk::new();
    assert_snapshot!("no_sessions", desk.run(&["session"]));
    let mut first = guest(&desk, &["-k", "one"]);
    let mut second = guest(&desk, &["-k", "two"]);
    let table = desk.run(&["session", "list"]);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[1].contains("SESSION ID") && rows[1].contains("TIME UP"), "{table}");
    assert!(table.contains("one") && table.contains("two") && table.contains("sleep 1000"), "{table}");
    let only = desk.run(&["sessions", "--key", "two"]);
    assert!(only.contains("two") && !only.contains("one"), "{only}");
    assert_snapshot!("no_such_session", desk.run(&["session", "stop", "nothing"]));
    assert_snapshot!("no_such_key", desk.run(&["kill", "-k", "three"]));
    assert_snapshot!("stop_nothing", desk.run(&["session", "stop"]));

    let ended = desk.run(&["session", "stop", "-k", "two"]);
    assert!(ended.contains("ended the session") && ended.ends_with("exit code 0"), "{ended}");
    assert_eq!(second.end(), 128 + 15);
    let id = socket(&desk).file_stem().unwrap().to_str().unwrap().to_owned();
    let ended = desk.run(&["kill", &id[..8]]);
    assert!(ended.contains("ended the session"), "{ended}");
    assert_eq!(first.end(), 128 + 15);
    assert!(sockets(&desk).is_empty());
}

#[test]
fn a_guest_that_does_not_end_loses_its_session() {
    let desk = Desk::new();
    let script = "trap '' TERM; echo begun; while :; do sleep 1; done";
    let mut command = desk.mirrord(&["exec", "--", "sh", "-c", script]);
    let mut guest = Running::start(command.env("MIRRORD_PROGRESS_MODE", "off"));
    guest.says("begun");
    let id = socket(&desk).file_stem().unwrap().to_str().unwrap().to_owned();
    let ended = desk.run(&["session", "stop", &id]);
    assert!(ended.ends_with("exit code 0"), "{ended}");
    assert!(sockets(&desk).is_empty());
    kill(Pid::from_raw(guest.pid()), None).unwrap();
    guest.signal(Signal::SIGKILL);
}

#[test]
fn what_a_killed_proxy_leaves_whoever_comes_next_removes() {
    let desk = Desk::new();
    let mut left = Vec::new();
    for next in ["session", "exec"] {
        let mut guest = guest(&desk, &[]);
        let socket = socket(&desk);
        let peer = UnixStream::connect(&socket).unwrap();
        let peer = nix::sys::socket::getsockopt(&peer, nix::sys::socket::sockopt::PeerCredentials).unwrap();
        kill(Pid::from_raw(peer.pid()), Signal::SIGKILL).unwrap();
        guest.signal(Signal::SIGKILL);
        guest.end();
        eventually("the proxy's end", SOON, || UnixStream::connect(&socket).err());
        assert!(socket.exists());
        desk.run(if next == "exec" { &["exec", "true"] } else { &["session"] });
        eventually("nothing left", SOON, || (!desk.path(".mirrord").exists()).then_some(()));
        left.push(socket);
    }
    assert_ne!(left[0], left[1]);
}

#[test]
fn a_session_without_a_home_or_with_its_api_off_is_as_good_as_any_other() {
    let desk = Desk::new();
    let output = desk.mirrord(&["exec", "echo", "good"]).env_remove("HOME").output().unwrap();
    assert_eq!(output.stdout, b"good\n");
    let output = desk.mirrord(&["exec", "echo", "good"]).env("HOME", "/proc").output().unwrap();
    assert_eq!((output.stdout, output.status.code()), (b"good\n".to_vec(), Some(0)));
    let output = desk.mirrord(&["exec", "ls", "-A"]).env("MIRRORD_API", "false").output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains(".mirrord"), "{output:?}");
    let output = desk.mirrord(&["exec", "ls", "-A"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(".mirrord"), "{output:?}");
}
