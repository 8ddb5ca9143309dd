//! `mirrord dump`: what arrives at a pod, on the screen.

use insta::assert_snapshot;
use mirrord_tests::{pod::Pod, running::Running, transcript::Transcript};
use nix::sys::signal::Signal;

use crate::screen::Desk;

#[test]
fn what_arrives_is_printed_until_the_user_has_enough() {
    let desk = Desk::new();
    for data_path in ["passed", "proxied"] {
        let pod = Pod::start().unwrap();
        let mut command = desk.mirrord(&["dump", "-t", &pod.target(), "-p", "8080", "-p", "7", "-p", "7"]);
        let mut dump = Running::start(command.env("MIRRORD_DATA_PATH", data_path));
        dump.says("Ready!");
        let asked = Transcript::of(pod.command("curl").args(["-s", "http://10.77.0.2:8080/some/path"]));
        assert!(asked.stdout.starts_with("the shop itself"), "{asked:?}");
        dump.says("## New TCP connection established: Connection ID 1 from 10.77.0.2:");
        dump.says("Data:\nGET /some/path HTTP/1.1\r\n");
        dump.says("## Connection ID 1: closed\n");
        let script = "exec 3<>/dev/tcp/10.77.0.2/7; printf '\\001\\002' >&3; head -c 2 <&3 >/dev/null";
        Transcript::of(pod.command("bash").args(["-c", script]));
        dump.says("## Connection ID 2: 2 bytes\nData (hex):\n01 02\n");
        dump.signal(Signal::SIGINT);
        assert_eq!(dump.end(), 0);
    }
}

#[test]
fn a_dump_that_cannot_be_says_what_is_missing() {
    let desk = Desk::new();
    let us = format!("pid/{}", std::process::id());
    let plain = |words: String| words.replace(&us, "pid/[us]");
    assert_snapshot!("dump_without_target", desk.run(&["dump", "-p", "80"]));
    assert_snapshot!("dump_without_ports", plain(desk.run(&["dump", "-t", &us])));
    assert_snapshot!("dump_of_port_0", desk.run(&["dump", "-t", &us, "-p", "0"]));
}
