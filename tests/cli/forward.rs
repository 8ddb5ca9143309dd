//! `mirrord port-forward`: both ways, both data paths, with every end that a connection can have.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use insta::assert_snapshot;
use mirrord_tests::{
    eventually::eventually, pod::Pod, ports::free_port, running::Running, transcript::Transcript,
};
use nix::sys::signal::Signal;

use crate::screen::Desk;

const SOON: Duration = Duration::from_secs(20);

fn forward(desk: &Desk, pod: &Pod, data_path: &str, words: &[&str]) -> Running {
    let mut command = desk.mirrord(&["port-forward", "-t", &pod.target()]);
    command.args(words).env("MIRRORD_DATA_PATH", data_path);
    let mut running = Running::start(&mut command);
    running.says("Ready!");
    running
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn all(stream: &mut TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_forwarded_connection_comes_out_there_with_all_its_ends() {
    let pod = Pod::start().unwrap();
    let desk = Desk::new();
    for data_path in ["passed", "proxied"] {
        let ports: Vec<u16> = (0..7).map(|_| free_port()).collect();
        let places = [
            "10.77.0.2:7001",
            "db.shop:7",
            "10.77.0.2:9",
            "[fd77::2]:7001",
            "10.77.0.2:7002",
            "10.77.0.2:7003",
            "127.0.0.1:1",
        ];
        let mappings: Vec<String> =
            ports.iter().zip(places).map(|(port, place)| format!("-L{port}:{place}")).collect();
        let words: Vec<&str> = mappings.iter().map(String::as_str).collect();
        let mut running = forward(&desk, &pod, data_path, &words);

        assert_eq!(all(&mut connect(ports[0])), "you are 10.77.0.2, I am 10.77.0.2:7001\n");
        let mut six = connect(ports[3]);
        assert_eq!(all(&mut six), "you are fd77::2, I am [fd77::2]:7001\n");

        // The name is the pod's own.
        let mut echo = connect(ports[1]);
        echo.write_all(b"word").unwrap();
        let mut word = [0; 4];
        echo.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"word");

        // Many bytes, then the end of one side only.
        let mut taken = connect(ports[2]);
        let n_bytes = 3 << 20;
        taken.write_all(&vec![b'x'; n_bytes]).unwrap();
        taken.shutdown(Shutdown::Write).unwrap();
        assert!(all(&mut taken).starts_with(&n_bytes.to_string()));
        let mut half = connect(ports[5]);
        let mut said = [0; 5];
        half.read_exact(&mut said).unwrap();
        half.write_all(b"abc").unwrap();
        half.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all(&mut half), "whole after 3\n");

        // A reset is a reset, and so is a connection that nobody takes.
        let mut reset = connect(ports[4]);
        reset.write_all(b"x").unwrap();
        assert_eq!(reset.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset, "{data_path}");
        let refused = connect(ports[6]).read(&mut [0; 9]);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset, "{data_path}");
        running.says("cannot connect to `127.0.0.1:1` there: Connection refused");

        running.signal(Signal::SIGINT);
        assert_eq!(running.end(), 0, "{}", running.words());
        assert_eq!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, ports[0])).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}

/// A server here that answers every connection with the bytes that came, and who it is.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut request = [0; 1000];
                let n_heard = stream.read(&mut request).unwrap_or(0);
                let body = format!("the laptop heard {n_heard}");
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
            });
        }
    });
    port
}

fn asked(pod: &Pod) -> String {
    Transcript::of(pod.command("curl").args(["-s", "--max-time", "5", "http://10.77.0.2:8080/"])).stdout
}

#[test]
fn what_is_stolen_comes_out_here_and_is_given_back_at_the_end() {
    let desk = Desk::new();
    for data_path in ["passed", "proxied"] {
        let pod = Pod::start().unwrap();
        let mut running = forward(&desk, &pod, data_path, &["--steal", "-R", &format!("8080:{}", server())]);
        assert!(asked(&pod).starts_with("the laptop heard"), "{data_path}: {}", running.words());
        running.signal(Signal::SIGTERM);
        assert_eq!(running.end(), 0);
        eventually("the shop's own answer", SOON, || {
            asked(&pod).starts_with("the shop itself").then_some(())
        });
    }
}

#[test]
fn what_nobody_takes_here_the_target_answers() {
    let desk = Desk::new();
    for data_path in ["passed", "proxied"] {
        let pod = Pod::start().unwrap();
        let nobody = format!("8080:{}", free_port());
        let mut running = forward(&desk, &pod, data_path, &["--steal", "-R", &nobody]);
        assert!(asked(&pod).starts_with("the shop itself"), "{data_path}");
        running.says("the target gets what came to its port 8080");
    }
}

#[test]
fn what_is_mirrored_comes_out_here_and_the_target_answers() {
    let desk = Desk::new();
    let pod = Pod::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mapping = format!("8080:{}", listener.local_addr().unwrap().port());
    let _running = forward(&desk, &pod, "passed", &["-R", &mapping]);
    assert!(asked(&pod).starts_with("the shop itself"));
    let (mut stream, _) = listener.accept().unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"GET /");
}

#[test]
fn a_target_that_ends_ends_the_forwarding() {
    let desk = Desk::new();
    let pod = Pod::start().unwrap();
    let mapping = format!("{}:10.77.0.2:7", free_port());
    let mut running = forward(&desk, &pod, "passed", &["-L", &mapping]);
    drop(pod);
    assert_eq!(running.end(), 1);
    let words = running.words();
    assert!(
        words.contains("error: the session with `pid/") && words.contains("hint: start the command"),
        "{words}"
    );
}

#[test]
fn mappings_that_cannot_be_are_told_before_anything_starts() {
    let desk = Desk::new();
    assert_snapshot!("nothing_to_forward", desk.run(&["port-forward", "-t", "pid/1"]));
    assert_snapshot!("twice_here", desk.run(&["port-forward", "-L", "80:a:1", "-L", "80:b:2"]));
    assert_snapshot!("twice_there", desk.run(&["port-forward", "-t", "pid/1", "-R", "80:1", "-R", "80:2"]));
    assert_snapshot!("no_host", desk.run(&["port-forward", "-L", "80:90"]));
    assert_snapshot!("port_0", desk.run(&["port-forward", "-R", "0:80"]));
    assert_snapshot!("reverse_without_target", desk.run(&["port-forward", "-R", "80"]));
    desk.write("off.json", r#"{"feature": {"network": {"incoming": "off"}}}"#);
    assert_snapshot!(
        "reverse_of_nothing",
        desk.run(&["port-forward", "-f", "off.json", "-t", "pid/1", "-R", "80"])
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let words = desk.run(&["port-forward", "-L", &format!("{port}:a:1")]);
    assert_snapshot!("taken_here", words.replace(&port, "[port]"));
    assert_snapshot!("help", desk.run(&["port-forward", "--help"]));
}
