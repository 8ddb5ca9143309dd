//! Unix sockets that are bound to paths there: who is there finds them, by the names that they have there.

use std::fs;

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    pod::Pod,
    programs::system,
    running::Running,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use serde_json::{Value, json};

const BOUND: Guest = Guest { tongue: Tongue::Python, name: "bound" };

/// Answers one connection.
const SERVER: &str = "import os, socket
server = socket.socket(socket.AF_UNIX)
server.bind('/data/out/server.sock')
server.listen()
print('ready', flush=True)
connection, peer = server.accept()
connection.sendall(b'you said ' + connection.recv(100))
print(server.getsockname(), connection.getsockname(), flush=True)
os.unlink('/data/out/server.sock')
";

/// Makes one, as somebody in the pod.
const CLIENT: &str = "import socket
client = socket.socket(socket.AF_UNIX)
client.connect('/data/out/server.sock')
client.sendall(b'hello')
print(client.getpeername(), client.recv(100))
";

fn writing() -> Value {
    json!({ "fs": { "mode": "write" } })
}

#[test]
fn a_socket_is_bound_there_as_it_would_be_inside() {
    if let Some(why) = BOUND.missing() {
        return skip(&why);
    }
    let pod = Pod::start().expect("the pretend pod starts");
    let bare = Transcript::of(&mut BOUND.inside(&pod));
    for engine in Engine::BOTH {
        let session = Session::new(&pod, DataPath::Passed, &writing()).by(engine);
        let outside = Transcript::of(&mut BOUND.outside(&session));
        assert_eq!(bare.difference(&outside), None, "{engine:?}");
    }
    assert_eq!(fs::read_dir(pod.path("/data/out")).unwrap().count(), 0);
}

#[test]
fn whoever_is_there_connects_to_a_server_here_by_its_path() {
    let Some(python) = system("python3") else { return skip("there is no python3") };
    let pod = Pod::start().expect("the pretend pod starts");
    for engine in Engine::BOTH {
        let session = Session::new(&pod, DataPath::Passed, &writing()).by(engine);
        let mut server = Running::start(session.command(&python).args(["-u", "-c", SERVER]));
        server.says("ready");
        let client = Transcript::of(pod.command(&python).args(["-c", CLIENT]));
        assert_eq!(client.stdout, "/data/out/server.sock b'you said hello'\n", "{engine:?} {client:?}");
        assert_eq!(server.end(), 0, "{}", server.words());
        let told = "ready\n/data/out/server.sock /data/out/server.sock\n";
        assert_eq!(server.words(), told, "{engine:?}");
    }
}

#[test]
fn without_descriptors_that_are_passed_a_path_there_is_none() {
    let Some(python) = system("python3") else { return skip("there is no python3") };
    let pod = Pod::start().expect("the pretend pod starts");
    for engine in Engine::BOTH {
        let session = Session::new(&pod, DataPath::Proxied, &writing()).by(engine);
        let told = Transcript::of(session.command(&python).args(["-u", "-c", SERVER]));
        assert!(told.stderr.contains("FileNotFoundError: [Errno 2]"), "{engine:?} {told:?}");
    }
}
