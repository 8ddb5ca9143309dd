//! A gigabyte each way, and every byte looked at; and the bytes of guests that do not wait for them.

use std::{fs, path::Path, thread};

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    programs::system,
    running::Running,
    session::Session,
    transcript::Transcript,
};
use serde_json::json;

use crate::{pod, wanted_paths};

const BULK: Guest = Guest { tongue: Tongue::Python, name: "bulk" };

fn transfer(size: &str, manner: &str) {
    if let Some(why) = BULK.missing() {
        return skip(&why);
    }
    let mut inside = BULK.inside(pod());
    let bare = Transcript::of(inside.args([size, manner]));
    assert!(bare.stdout.ends_with(&format!(" down {size}\n")), "{bare:?}");
    for data_path in wanted_paths() {
        let session = Session::new(pod(), data_path, &json!({}));
        let mut outside = BULK.outside(&session);
        let told = Transcript::of(outside.args([size, manner]));
        assert_eq!(bare.difference(&told), None, "{data_path:?}");
    }
}

#[test]
fn a_gigabyte_goes_each_way_whole() {
    transfer("1073741824", "fast");
}

#[test]
fn partial_writes_and_a_slow_reader_lose_nothing() {
    transfer("20000000", "slow");
}

/// Takes one connection, reads nothing before it is told to, and then everything.
const PATIENT_SERVER: &str = r#"
import os, socket, sys
go = "/run/go-" + sys.argv[2]
os.mkfifo(go)
if sys.argv[1] == "tcp":
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.bind(("10.77.0.2", 0))
    name = server.getsockname()[1]
else:
    server = socket.socket(socket.AF_UNIX)
    name = "/run/patient-" + sys.argv[2]
    server.bind(name)
server.listen()
print("at", name, flush=True)
client = server.accept()[0]
open(go).read()
os.unlink(go)
n_read = 0
try:
    while piece := client.recv(1 << 16):
        n_read += len(piece)
    print("whole", n_read, flush=True)
except OSError as error:
    print("broken", n_read, error, flush=True)
"#;

/// Writes and goes.
const HASTY_CLIENT: &str = r#"
import socket, sys
if sys.argv[1] == "tcp":
    client = socket.create_connection(("10.77.0.2", int(sys.argv[2])))
else:
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[2])
client.sendall(bytes(int(sys.argv[3])))
"#;

/// A server that reads at first, or only when its client has long gone.
fn leave_at_once(transport: &str, size: usize, is_read_at_once: bool) {
    let Some(python) = system("python3") else { return skip("hasty guests need python3") };
    for data_path in wanted_paths() {
        let feature = json!({ "network": { "outgoing": { "unix_streams": ["^/run/"] } } });
        let session = Session::new(pod(), data_path, &feature);
        let mut server = pod().command(&python);
        let unique = format!("{transport}-{size}-{}", data_path.name());
        let mut server = Running::start(server.args(["-c", PATIENT_SERVER, transport, &unique]));
        server.says("at ");
        let name = server.words().split_whitespace().nth(1).unwrap().to_owned();
        // Opening a fifo to write waits for the one who reads.
        let go = pod().path(&format!("/run/go-{unique}"));
        let told_to_read = is_read_at_once.then(|| {
            thread::spawn({
                let go = go.clone();
                move || fs::write(go, "").unwrap()
            })
        });
        let mut client = session.command(&python);
        client.args(["-c", HASTY_CLIENT, transport, &name, &size.to_string()]);
        let told = Transcript::of(&mut client);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{data_path:?}");
        match told_to_read {
            Some(telling) => telling.join().unwrap(),
            None => fs::write(go, "").unwrap(),
        }
        server.says(&format!("whole {size}\n"));
        if Path::new(&name).is_absolute() {
            fs::remove_file(pod().path(&name)).unwrap();
        }
    }
}

#[test]
fn what_a_guest_wrote_before_it_went_arrives() {
    leave_at_once("tcp", 5_000_000, true);
    leave_at_once("unix", 5_000_000, true);
}

#[test]
fn what_a_guest_wrote_before_it_went_waits_for_a_late_reader() {
    leave_at_once("tcp", 300_000, false);
    leave_at_once("unix", 100_000, false);
}
