//! The commands without a guest, and the editor's: each asks the cluster as the developer, and leaves nothing.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use mirrord_tests::{
    cluster::Namespace, eventually::eventually, ports::free_port, programs::system, running::Running,
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::SHOP;

const SOON: Duration = Duration::from_secs(30);

/// Lines of progress, on the standard output's neighbour.
fn plain(mut command: Command) -> Command {
    command.env("MIRRORD_PROGRESS_MODE", "std");
    command
}

fn end(mut running: Running) {
    running.signal(Signal::SIGINT);
    assert_eq!(running.end(), 0, "{}", running.words());
}

#[test]
fn targets_are_listed_with_what_runs_of_them() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let (pod, _client) = (shop.ready("app=shop", 1).remove(0), shop.ready("app=client", 1));
    let session = shop.session("targetless", &json!({}));
    let told = Transcript::of(&mut session.other("ls"));
    let targets: Vec<String> = serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
    for wanted in
        ["deployment/shop".to_owned(), format!("pod/{pod}"), "pod/client".into(), "service/shop".into()]
    {
        assert!(targets.contains(&wanted), "{targets:?}");
    }
    let told =
        Transcript::of(session.other("ls").args(["-t", "deployment"]).env("MIRRORD_LS_RICH_OUTPUT", "true"));
    let rich: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
    assert_eq!(rich["targets"], json!([{ "path": "deployment/shop", "available": true }]));
    assert_eq!(rich["current_namespace"], shop.name());
}

#[test]
fn what_arrives_at_the_ports_of_a_pod_is_dumped() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let session = shop.session("deployment/shop", &json!({}));
    let mut dump = Running::start(&mut plain(session.other("dump")));
    dump.says("listening at port 8080");
    dump.says("Ready!");
    shop.answers("http://shop/some/path", "the shop itself");
    dump.says("GET /some/path HTTP/1.1");
    end(dump);
    shop.assert_clean(&[&session]);
}

#[test]
fn ports_are_forwarded_both_ways() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nthe laptop\n");
        }
    });
    let port = free_port();
    let session = shop.session("deployment/shop", &json!({}));
    let mut command = plain(session.other("port-forward"));
    command.args(["--steal", "-L", &format!("{port}:shop:80"), "-R", &format!("8080:{here}")]);
    let mut forward = Running::start(&mut command);
    forward.says("Ready!");
    shop.answers("http://shop/", "the laptop");
    // By the Service, and so by the stolen port, back to this machine.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.ends_with("the laptop\n"), "{said}");
    end(forward);
    shop.answers("http://shop/", "the shop itself");
    shop.assert_clean(&[&session]);
}

#[test]
fn every_hop_to_a_pod_is_measured() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = shop.ready("app=shop", 1);
    let session = shop.session("deployment/shop", &json!({}));
    let mut command = session.other_of(&["diagnose", "latency"]);
    let told = Transcript::of(command.args(["--count", "5", "--to", "shop:80"]));
    assert_eq!(told.code, Some(0), "{told:?}");
    for hop in ["guest to proxy", "proxy to API server", "proxy to agent", "agent to shop:80"] {
        assert!(told.stdout.contains(&format!("\n{hop} ")), "{told:?}");
    }
    shop.assert_clean(&[&session]);
}

#[test]
fn an_editor_starts_a_program_with_what_the_pod_has() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("deployment/shop", &json!({ "internal_proxy": { "idle_timeout": 1 } }));
    let mut command = session.other("ext");
    let mut ext = command.env_remove("MIRRORD_PROGRESS_MODE").stdout(Stdio::piped()).spawn().unwrap();
    let mut answer = None;
    for line in BufReader::new(ext.stdout.take().unwrap()).lines() {
        let object: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if object["type"] == "FinishedTask" && object["name"] == "mirrord preparing to launch" {
            answer = object["message"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap());
            break;
        }
    }
    let answer = answer.expect("an environment");
    let mut guest = Command::new(system("bash").unwrap());
    guest
        .args(["-c", "echo $POD_NAME; cat /shop/settings/menu.txt"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    for (name, value) in answer["environment"].as_object().unwrap() {
        guest.env(name, value.as_str().unwrap());
    }
    let told = Transcript::of(&mut guest);
    assert_eq!(told.stdout, format!("{pod}\nbread\nbutter\n"), "{told:?}");
    let status = eventually("the end of `ext`", SOON, || ext.try_wait().unwrap());
    assert!(status.success());
    shop.assert_clean(&[&session]);
}
