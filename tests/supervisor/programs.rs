//! Programs without libc, with another one, or beside it: outside as inside.

use std::time::Duration;

use mirrord_tests::{
    eventually::eventually,
    ground::skip,
    guest::{Guest, Tongue},
    pod::Pod,
    programs::{command, system},
    running::Running,
    session::{DataPath, Engine, Session},
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{feature, heard, pod, session};

/// Inside and outside, by both data paths, the engine left to be found.
pub(crate) fn compare(guest: Guest) {
    compare_in(pod(), guest, &feature());
}

fn compare_in(pod: &Pod, guest: Guest, feature: &Value) {
    if let Some(why) = guest.missing() {
        return skip(&why);
    }
    let bare = Transcript::of(&mut guest.inside(pod));
    for data_path in DataPath::ALL {
        let outside = Transcript::of(&mut guest.outside(&Session::new(pod, data_path, feature)));
        assert_eq!(bare.difference(&outside), None, "{guest:?}, {data_path:?}");
    }
}

#[test]
fn static_go_reads_resolves_connects_and_has_children() {
    compare(Guest { tongue: Tongue::Go, name: "client" });
}

#[test]
fn stripped_go_does_so_too() {
    compare(Guest { tongue: Tongue::GoStripped, name: "client" });
}

#[test]
fn go_beside_libc_does_so_too() {
    compare(Guest { tongue: Tongue::GoWithC, name: "client" });
}

#[test]
fn the_newest_go_does_so_too() {
    compare(Guest { tongue: Tongue::GoNewest, name: "client" });
}

#[test]
fn go_makes_and_changes_files_there() {
    // Others look through the shared pod's folders.
    let pod = Pod::start().unwrap();
    compare_in(&pod, Guest { tongue: Tongue::Go, name: "write" }, &json!({ "fs": { "mode": "write" } }));
}

#[test]
fn go_starts_a_dynamic_child_that_starts_go_again() {
    compare(Guest { tongue: Tongue::Go, name: "family" });
}

#[test]
fn a_thousand_connections_stand_at_once() {
    compare(Guest { tongue: Tongue::Go, name: "crowd" });
}

#[test]
fn static_c_reads_files_and_connects() {
    for name in ["files", "sockets", "datagrams"] {
        compare(Guest { tongue: Tongue::Static, name });
    }
}

#[test]
fn static_rust_does_so_too() {
    compare(Guest { tongue: Tongue::RustStatic, name: "client" });
}

#[test]
fn programs_of_musl_do_so_too_with_a_loader_and_without() {
    for tongue in [Tongue::Musl, Tongue::MuslLoaded] {
        for name in ["files", "sockets", "datagrams", "names"] {
            compare(Guest { tongue, name });
        }
    }
}

#[test]
fn a_program_of_32_bits_is_told_of_whoever_starts_it() {
    let guest = Guest { tongue: Tongue::Narrow, name: "narrow" };
    if let Some(why) = guest.missing() {
        return skip(&why);
    }
    let name = guest.program().display().to_string();
    let run = |engine: Engine, words: &[&str]| {
        let mut command = command();
        command.args(["exec", "--target", &pod().target(), "--engine", engine.name(), "--"]).args(words);
        heard(&mut command)
    };
    for engine in [Engine::Auto, Engine::Layer, Engine::Supervisor] {
        for words in [&[name.as_str()][..], &["sh", "-c", &format!("{name}; true")]] {
            let (told, _) = run(engine, words);
            let is_told = told.lines().any(|line| line.starts_with("warning: ") && line.contains(&name));
            assert!(is_told && told.contains("not there\n"), "{engine:?} {words:?}: {told}");
        }
    }
}

#[test]
fn go_answers_stolen_traffic() {
    let guest = Guest { tongue: Tongue::Go, name: "server" };
    if let Some(why) = guest.missing().or_else(|| system("curl").is_none().then(|| "no curl".to_owned())) {
        return skip(&why);
    }
    for data_path in DataPath::ALL {
        let pod = Pod::start().unwrap();
        let ask = |path: &str| {
            let mut curl = pod.command("curl");
            Transcript::of(curl.args(["-s", "--max-time", "10", &format!("http://10.77.0.2{path}")])).stdout
        };
        let session = Session::new(&pod, data_path, &feature());
        let mut server = Running::start(guest.outside(&session).arg("80"));
        server.says("listening");
        eventually("a stolen request", Duration::from_secs(20), || {
            ask("/first").starts_with("the guest").then_some(())
        });
        assert_eq!(ask("/second"), "the guest answers GET /second (0 bytes) to 10.77.0.2\n", "{data_path:?}");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.end(), 0, "{data_path:?}: the exit code is the guest's own");
        eventually("the shop's own answer", Duration::from_secs(10), || {
            ask("/after").starts_with("the shop itself").then_some(())
        });
    }
}

/// A thousand connections that stand at once, each with a question of its own.
const CROWD: &str = r#"
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
crowd = [socket.create_connection(("10.77.0.2", 80), timeout=30) for _ in range(1000)]
for number, client in enumerate(crowd):
    client.sendall(f"GET /{number} HTTP/1.0\r\n\r\n".encode())
good = 0
for number, client in enumerate(crowd):
    answer = b""
    while piece := client.recv(4096):
        answer += piece
    good += answer.startswith(b"HTTP/1.0 200 ") and f"the guest answers GET /{number} ".encode() in answer
print(good)
"#;

#[test]
fn a_server_answers_a_thousand_at_once() {
    let guest = Guest { tongue: Tongue::Go, name: "server" };
    if let Some(why) =
        guest.missing().or_else(|| system("python3").is_none().then(|| "no python3".to_owned()))
    {
        return skip(&why);
    }
    for data_path in DataPath::ALL {
        let pod = Pod::start().unwrap();
        let session = Session::new(&pod, data_path, &feature());
        let mut server = Running::start(guest.outside(&session).arg("80"));
        server.says("listening");
        let ask = |script: &str| Transcript::of(pod.command("python3").args(["-c", script]));
        let first =
            "import urllib.request; print(urllib.request.urlopen('http://10.77.0.2/x').read().decode())";
        eventually("a stolen request", Duration::from_secs(20), || {
            ask(first).stdout.starts_with("the guest").then_some(())
        });
        let told = ask(CROWD);
        assert_eq!(told.stdout, "1000\n", "{data_path:?}: {told:?}");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.end(), 0);
    }
}

#[test]
fn busybox_is_a_guest_as_it_is() {
    let Some(busybox) = system("busybox") else { return skip("there is no busybox") };
    for data_path in DataPath::ALL {
        let session = session(data_path, Engine::Supervisor);
        let mut command = session.command(&busybox);
        let script = "cd /data && pwd && wc -l < orders.txt && cat deep/er/still/yet/leaf && hostname";
        let told = Transcript::of(command.args(["sh", "-c", script]));
        assert_eq!(told.stdout, "/data\n500\na leaf\nshop-7d9f\n", "{told:?}");
    }
}

#[test]
fn the_developer_is_told_which_engine_and_why() {
    let guest = Guest { tongue: Tongue::Static, name: "supervised" };
    if let Some(why) = guest.missing() {
        return skip(&why);
    }
    let run = |engine: &str, program: &std::path::Path| {
        let mut command = command();
        command.args(["exec", "--target", &pod().target(), "--engine", engine, "--"]).arg(program);
        let told = Transcript::of(command.env("MIRRORD_PROGRESS_MODE", "dumb"));
        told.stdout + &told.stderr
    };
    let (program, name) = (guest.program(), guest.program().display().to_string());
    let words = run("auto", &program);
    assert!(words.contains(&format!("engine: supervisor, because `{name}` is statically linked")), "{words}");
    let words = run("layer", &program);
    assert!(
        words.contains("engine: layer") && words.contains("is statically linked; mirrord cannot"),
        "{words}"
    );
    let words = run("supervisor", &system("true").unwrap());
    assert!(words.contains("engine: supervisor, as ordered"), "{words}");
    let words = run("auto", &system("true").unwrap());
    assert!(words.contains("engine: layer"), "{words}");
}
