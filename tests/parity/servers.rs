//! Servers as guests: they answer the pod's traffic, or hear it.

use std::{fs, net::TcpListener, process::Command, sync::Mutex, time::Duration};

use mirrord_tests::{
    eventually::eventually,
    ground::skip,
    guest::{Guest, Tongue},
    pod::Pod,
    programs::system,
    running::Running,
    session::Session,
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{Way, wanted_ways};

/// Servers listen on the same ports of this machine: one story at a time.
pub(crate) static PORTS: Mutex<()> = Mutex::new(());

const PYTHON: Guest = Guest { tongue: Tongue::Python, name: "server" };
const NODE: Guest = Guest { tongue: Tongue::Node, name: "server" };

/// A guest with arguments.
fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn session(pod: &Pod, (data_path, engine): Way, mode: &str) -> Session {
    Session::new(pod, data_path, &json!({ "network": { "incoming": { "mode": mode } } })).by(engine)
}

/// What the pod's own programs get from the service.
fn ask(pod: &Pod, url: &str) -> String {
    let mut curl = pod.command("curl");
    Transcript::of(curl.args(["-s", "--max-time", "10", url])).stdout
}

fn tell(story: fn(&Pod, Guest, Way), guest: Guest) {
    if let Some(why) = guest.missing().or_else(|| system("curl").is_none().then(|| "no curl".to_owned())) {
        return skip(&why);
    }
    let _alone = PORTS.lock();
    for way in wanted_ways() {
        story(&Pod::start().unwrap(), guest, way);
    }
}

/// The guest answers in the place of the shop, knows who asks, and gives the port back when it ends.
fn steal(pod: &Pod, guest: Guest, way: Way) {
    let session = session(pod, way, "steal");
    assert!(ask(pod, "http://web.shop/before").starts_with("the shop itself"));
    let mut server = Running::start(&mut with(guest.outside(&session), &["80"]));
    server.says("listening");
    eventually(&format!("a stolen request ({way:?})"), Duration::from_secs(20), || {
        ask(pod, "http://10.77.0.2/first").starts_with("the guest").then_some(())
    });
    let answer = ask(pod, "http://10.77.0.2/second");
    assert_eq!(answer, "the guest answers GET /second (0 bytes) to 10.77.0.2\n", "{way:?}");
    let body = "z".repeat(300_000);
    let mut post = pod.command("curl");
    let answer =
        Transcript::of(post.args(["-s", "--data-binary", &body[..100_000], "http://10.77.0.2/post"]));
    assert_eq!(answer.stdout, "the guest answers POST /post (100000 bytes) to 10.77.0.2\n", "{way:?}");
    assert!(
        ask(pod, "http://10.77.0.2:8080/other").starts_with("the shop itself"),
        "another port is not touched"
    );
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end(), 0, "{way:?}: the exit code is the guest's own");
    eventually("the shop's own answer", Duration::from_secs(10), || {
        ask(pod, "http://10.77.0.2/after").starts_with("the shop itself").then_some(())
    });
}

/// The guest hears what the shop answers.
fn mirror(pod: &Pod, guest: Guest, way: Way) {
    let session = session(pod, way, "mirror");
    let mut server = Running::start(&mut with(guest.outside(&session), &["80"]));
    server.says("listening");
    let mut n_asked = 0;
    eventually(&format!("a mirrored request ({way:?})"), Duration::from_secs(20), || {
        n_asked += 1;
        let answer = ask(pod, &format!("http://10.77.0.2/mirrored-{n_asked}"));
        assert!(answer.starts_with("the shop itself"), "mirroring does not answer: {answer}");
        server.words().contains("GET /mirrored-").then_some(())
    });
    let answer = ask(pod, "http://10.77.0.2/heard");
    assert!(answer.starts_with("the shop itself"), "{answer}");
    server.says("GET /heard 0 from 10.77.0.2");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end(), 0, "{way:?}");
    assert!(ask(pod, "http://10.77.0.2/after").starts_with("the shop itself"));
}

/// A client that never rests sees no failure, from before the guest to after its end.
fn come_and_go(pod: &Pod, guest: Guest, way: Way) {
    let load = Guest { tongue: Tongue::Python, name: "load" };
    let mut client = Running::start(&mut with(load.inside(pod), &["80", "/tmp/stop"]));
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let session = session(pod, way, "steal");
        let mut server = Running::start(&mut with(guest.outside(&session), &["80"]));
        server.says("GET /");
        let n_answered = server.words().lines().count();
        eventually("a hundred answers more", Duration::from_secs(20), || {
            (server.words().lines().count() > n_answered + 100).then_some(())
        });
        server.signal(signal);
        server.end();
        eventually("the shop's own answer", Duration::from_secs(10), || {
            ask(pod, "http://10.77.0.2/own").starts_with("the shop itself").then_some(())
        });
    }
    fs::write(pod.path("/tmp/stop"), "").unwrap();
    client.end();
    let words = client.words();
    // A guest that is killed takes with it the requests that it has begun to answer, and only those.
    let failures: Vec<&str> =
        words.lines().filter(|line| !line.starts_with("guest ") && !line.starts_with("shop ")).collect();
    let n_failed: usize =
        failures.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
    assert!(n_failed <= 1, "{way:?}: {words}");
    assert!(words.contains("guest ") && words.contains("shop "), "{way:?}: {words}");
}

#[test]
fn python_answers_stolen_traffic() {
    tell(steal, PYTHON);
}

#[test]
fn node_answers_stolen_traffic() {
    tell(steal, NODE);
}

#[test]
fn python_hears_mirrored_traffic() {
    tell(mirror, PYTHON);
}

#[test]
fn node_hears_mirrored_traffic() {
    tell(mirror, NODE);
}

#[test]
fn guests_come_and_go_and_no_connection_fails() {
    tell(come_and_go, PYTHON);
}

#[test]
fn the_developer_is_told_which_port_is_used_in_the_place_of_a_taken_one() {
    let Some(python) = system("python3") else { return skip("a server needs python3") };
    let pod = Pod::start().unwrap();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let program = "import socket, sys\n\
        for _ in range(2):\n    server = socket.create_server(('', int(sys.argv[1])))\n    server.close()\n\
        print('listened', flush=True)";
    for way in wanted_ways() {
        for mode in ["dumb", "off"] {
            let session = session(&pod, way, "steal");
            let mut command = session.command(&python);
            command.env("MIRRORD_PROGRESS_MODE", mode).args(["-c", program, &port]);
            let mut server = Running::start(&mut command);
            server.says("listened");
            assert_eq!(server.end(), 0);
            let words = server.words();
            let warning = format!("warning: cannot listen on `0.0.0.0:{port}` here");
            let told = words.lines().filter(|line| line.starts_with(&warning)).count();
            assert_eq!(told > 0, mode == "dumb", "{way:?}: {words}");
            assert_eq!(words.contains("the program listens on `0.0.0.0:"), mode == "dumb", "{words}");
        }
    }
}

/// Answers one request, and tells every name that its connection has.
const ONE_REQUEST: &str = r#"
import socket, sys
server = socket.socket(socket.AF_INET6 if sys.argv[1] == "six" else socket.AF_INET)
if sys.argv[1] == "six":
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::" if sys.argv[1] == "six" else "0.0.0.0", 80))
server.listen()
print("listening", flush=True)
client, address = server.accept()
request = b""
while not request.endswith(b"\r\n\r\n"):
    request += client.recv(4096)
names = [address, client.getpeername(), client.getsockname()]
print(*[name[0] for name in names], names[0] == names[1], names[2][1], len(names[0]), flush=True)
client.sendall(b"HTTP/1.0 200 OK\r\n\r\nthe guest answers")
"#;

fn names_of_one_request(pod: &Pod, way: Way, listener: &str, url: &str) -> Vec<String> {
    let session = session(pod, way, "steal");
    let mut command = session.command(&system("python3").unwrap());
    let mut server = Running::start(command.args(["-c", ONE_REQUEST, listener]));
    server.says("listening");
    assert_eq!(ask(pod, url), "the guest answers", "{way:?}: {}", server.words());
    assert_eq!(server.end(), 0, "{}", server.words());
    server.words().lines().last().unwrap().split(' ').map(str::to_owned).collect()
}

#[test]
fn a_guest_is_told_addresses_of_the_family_that_it_listens_on() {
    if system("python3").is_none() || system("curl").is_none() {
        return skip("servers need python3 and curl");
    }
    let _alone = PORTS.lock();
    for way in wanted_ways() {
        let pod = Pod::start().unwrap();
        let mapped = "::ffff:10.77.0.2";
        let names = names_of_one_request(&pod, way, "six", "http://10.77.0.2/");
        assert_eq!(names, [mapped, mapped, mapped, "True", "80", "4"], "{way:?}");
        // An IPv6 address cannot be told to an IPv4 socket: it is told who brings the connection.
        let names = names_of_one_request(&pod, way, "four", "http://[fd77::2]/");
        assert!(names[0].starts_with("127.77.") && names[3] == "True" && names[5] == "2", "{names:?}");
    }
}
