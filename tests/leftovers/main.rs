//! Floor 4: whoever is killed, nothing of ours remains.
//!
//! Each story lists everything that a session could leave, before and after: processes, firewall rules, namespaces
//! (which live as long as a process or a mount holds them), mounts, sockets, files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot be told has failed")]

mod chance;
mod desk;
mod moments;
mod scarce;
mod soak;

use std::time::Duration;

use desk::{Desk, is_socket, socket_of};
use mirrord_tests::{
    eventually::eventually, pod::Pod, ports::free_port, programs::system, running::Running,
    session::DataPath, transcript::Transcript,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// A guest that has something of everything: a stolen port, a connection, a file, children.
const BUSY: &str = r"
import http.server, os, socket, sys, threading, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'the guest')
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('0.0.0.0', 0 if len(sys.argv) < 2 else int(sys.argv[1])), Answer)
connection = socket.create_connection(('10.77.0.2', 7))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.sendto(b'x', ('10.77.0.2', 7))
file, big = open('/data/orders.txt'), open('/data/big', 'rb')
folder = os.open('/data/many', os.O_RDONLY)
def chatter():
    while True: connection.sendall(b'y' * 1000); connection.recv(1000); os.stat('/data/orders.txt')
threading.Thread(target=chatter, daemon=True).start()
print('busy', flush=True)
server.serve_forever()
";

/// Files to be written there, and the shop's second port stolen by whoever listens on this one.
pub(crate) fn feature(port: u16) -> Value {
    json!({
        "fs": "write",
        "network": { "incoming": { "mode": "steal", "port_mapping": [[port, 8080]] } },
    })
}

pub(crate) fn asked(pod: &Pod) -> String {
    Transcript::of(pod.command("curl").args(["-s", "--max-time", "5", "http://10.77.0.2:8080/"])).stdout
}

/// Starts the busy guest, kills one of the four, then the guest, and looks around.
fn killed(what: &str) {
    for data_path in DataPath::ALL {
        let pod = Pod::start().unwrap();
        let port = free_port();
        let desk = Desk::new(&pod, data_path, &feature(port));
        let mut guest = Running::start(desk.command("python3").args(["-c", BUSY, &port.to_string()]));
        guest.says("busy");
        eventually("a stolen request", Duration::from_secs(20), || {
            asked(&pod).starts_with("the guest").then_some(())
        });
        let socket = socket_of(guest.pid());
        assert!(is_socket(&socket), "`{socket}` is where layers ask");
        assert_eq!(desk.sockets(), 1);
        let doomed = if what == "guest" { guest.pid() } else { desk.find(what) };
        kill(Pid::from_raw(doomed), Signal::SIGKILL).unwrap();
        eventually(&format!("the shop's answer after the end of {what}"), Duration::from_secs(10), || {
            asked(&pod).starts_with("the shop itself").then_some(())
        });
        // What is left of a guest that has lost its session is the developer's to end.
        guest.signal(Signal::SIGKILL);
        guest.end();
        if what == "intproxy" {
            // The one thing with a name: the kernel does not take a socket's away, so the next command does.
            assert_eq!(desk.sockets(), 1);
            desk.look_for_sessions();
        }
        desk.assert_clean(&format!("the end of {what} ({data_path:?})"));
        eventually("the end of the layers' socket", Duration::from_secs(10), || {
            (!is_socket(&socket)).then_some(())
        });
    }
}

#[test]
fn a_killed_guest_leaves_nothing() {
    killed("guest");
}

#[test]
fn a_killed_proxy_leaves_nothing() {
    killed("intproxy");
}

#[test]
fn a_killed_agent_leaves_nothing() {
    killed("mirrord-agent");
}

/// How many connections wait at a listener of this machine to be accepted.
fn n_waiting(port: u16) -> usize {
    let own = format!(":{port:04X}");
    let list = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listener = list.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(1)?.ends_with(&own) && *words.get(3)? == "0A").then(|| words[4].to_owned())
    });
    let queue = listener.and_then(|queues| queues.split_once(':').map(|it| it.1.to_owned()));
    queue.map_or(0, |queue| usize::from_str_radix(&queue, 16).unwrap())
}

/// What a guest has not accepted when its proxy dies was taken by nobody.
#[test]
fn connections_that_no_guest_has_accepted_go_to_the_target_when_the_proxy_dies() {
    const DEAF: &str = r"
import socket, sys, time
ear = socket.create_server(('0.0.0.0', int(sys.argv[1])))
print('listening', flush=True); time.sleep(1000)
";
    const ASK: &str = r"
import socket
asked = [socket.create_connection(('10.77.0.2', 8080), timeout=20) for _ in range(5)]
for each in asked: each.sendall(b'GET / HTTP/1.0\r\n\r\n')
print('asked', flush=True)
for each in asked:
    heard = b''
    while not heard.endswith(b'bytes)\n'): heard += each.recv(1000) or b'an end, bytes)\n'
    print(heard.decode(), flush=True)
";
    if system("python3").is_none() {
        return mirrord_tests::ground::skip("no python3");
    }
    for data_path in DataPath::ALL {
        let (pod, port) = (Pod::start().unwrap(), free_port());
        let desk = Desk::new(&pod, data_path, &feature(port));
        let mut guest = Running::start(desk.command("python3").args(["-c", DEAF, &port.to_string()]));
        guest.says("listening");
        let mut clients = Running::start(pod.command("python3").args(["-c", ASK]));
        clients.says("asked");
        eventually("all of them at the guest's door", Duration::from_secs(20), || {
            assert!(!clients.has_ended(), "{data_path:?}: {}{}", clients.words(), guest.words());
            (n_waiting(port) == 5).then_some(())
        });
        kill(Pid::from_raw(desk.find("intproxy")), Signal::SIGKILL).unwrap();
        assert_eq!(clients.end(), 0, "{data_path:?}: {}", clients.words());
        assert_eq!(
            clients.words().matches("the shop itself").count(),
            5,
            "{data_path:?}: {}",
            clients.words()
        );
        guest.signal(Signal::SIGKILL);
        guest.end();
        desk.look_for_sessions();
        desk.assert_clean(&format!("a proxy that died before a guest accepted ({data_path:?})"));
    }
}

/// The command is killed at moments that its own start decides: as soon as it has made one process more.
#[test]
fn a_command_killed_while_it_starts_leaves_nothing() {
    let pod = Pod::start().unwrap();
    for n_processes in 1..=3 {
        let desk = Desk::new(&pod, DataPath::Passed, &feature(free_port()));
        let guest = Running::start(desk.command("sleep").arg("1000"));
        eventually("that many processes", Duration::from_secs(20), || {
            (desk.processes().len() >= n_processes).then_some(())
        });
        guest.signal(Signal::SIGKILL);
        drop(guest);
        desk.assert_clean(&format!("a command that was killed beside {n_processes} processes"));
    }
}

#[test]
fn a_guest_that_ends_leaves_nothing() {
    let pod = Pod::start().unwrap();
    for data_path in DataPath::ALL {
        for script in ["true", "exit 3", "kill -9 $$", "cat /data/big > /dev/null & wait", "exec ls /data"] {
            let desk = Desk::new(&pod, data_path, &feature(free_port()));
            let _ended = Transcript::of(desk.command("bash").args(["-c", script]));
            desk.assert_clean(&format!("`{script}` ({data_path:?})"));
        }
    }
}

/// A child that outlives the guest keeps the session, and takes it with it when it ends.
#[test]
fn a_child_that_stays_keeps_the_session_until_it_ends() {
    let pod = Pod::start().unwrap();
    for data_path in DataPath::ALL {
        let desk = Desk::new(&pod, data_path, &feature(free_port()));
        let script = "(until test -e /data/out/go; do sleep 0.02; done; cat /app/secret.key > /data/out/done) & exit 0";
        let told = Transcript::of(desk.command("bash").args(["-c", script]));
        assert_eq!(told.code, Some(0), "{told:?}");
        std::fs::write(pod.path("/data/out/go"), "").unwrap();
        let done = pod.path("/data/out/done");
        eventually("the child's work there", Duration::from_secs(10), || {
            (std::fs::read_to_string(&done).ok()? == "only the pod has this\n").then_some(())
        });
        std::fs::remove_file(&done).unwrap();
        std::fs::remove_file(pod.path("/data/out/go")).unwrap();
        desk.assert_clean(&format!("a child that stayed ({data_path:?})"));
    }
}

#[test]
fn a_pod_that_ends_takes_the_agent_with_it() {
    if system("python3").is_none() {
        return mirrord_tests::ground::skip("no python3");
    }
    let pod = Pod::start().unwrap();
    let port = free_port();
    let desk = Desk::new(&pod, DataPath::Passed, &feature(port));
    let mut guest = Running::start(desk.command("python3").args(["-c", BUSY, &port.to_string()]));
    guest.says("busy");
    let agent = desk.find("mirrord-agent");
    kill(Pid::from_raw(pod.pid()), Signal::SIGKILL).unwrap();
    eventually("the agent's end", Duration::from_secs(10), || {
        kill(Pid::from_raw(agent), None).is_err().then_some(())
    });
    guest.signal(Signal::SIGKILL);
    guest.end();
    eventually("the proxy's end", Duration::from_secs(10), || desk.processes().is_empty().then_some(()));
}
