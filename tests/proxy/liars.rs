//! Agents that lie: the proxy believes no length, no number and no descriptor, and says in words why there is no session.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, time::Duration};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    agent::{AgentAnswer, FromAgent, LaneKey, Welcome},
    frame::encode_frame,
    id::RequestId,
    version::Version,
    wire::MAX_FRAME,
};
use mirrord_tests::{ground::skip, programs::system};

use crate::{
    stage::{guest, order, run},
    start::{Failure, Place, Report},
};

/// What an agent says, whatever it is asked: first one thing, then another, so many times; and it never ends by itself.
const AGENT: &str = r"#!/usr/bin/python3
import array, os, socket, sys
lanes = socket.socket(fileno=3)
_, rights, *_ = lanes.recvmsg(1, 64)
lane = socket.socket(fileno=array.array('i', rights[0][2])[0])
lane.recv(65536)
first, then, times, riding = bytes.fromhex('FIRST'), bytes.fromhex('THEN'), TIMES, RIDING
try:
    lane.sendall(first)
    if first: lane.recv(65536)
    null = os.open('/dev/null', os.O_RDONLY)
    for _ in range(times):
        if riding: lane.sendmsg([then], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [null]))])
        else: lane.sendall(then)
except OSError:
    sys.exit(0)
lanes.recv(1)
";

struct Lie {
    /// Whether it begins well.
    welcomes: bool,
    then: Vec<u8>,
    n_times: usize,
    with_descriptors: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// How a session with such an agent fails: it does, and soon.
fn failed(lie: &Lie) -> Option<Failure> {
    if system("python3").is_none() {
        skip("no python3");
        return None;
    }
    let welcome = encode_frame(&Welcome::Settled(Version::OURS, LaneKey([7; 16]))).unwrap();
    let text = AGENT
        .replace("FIRST", &if lie.welcomes { hex(&welcome) } else { String::new() })
        .replace("THEN", &hex(&lie.then))
        .replace("TIMES", &lie.n_times.to_string())
        .replace("RIDING", if lie.with_descriptors { "True" } else { "False" });
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("agent");
    let mut file = fs::File::create(&agent).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    drop(file);
    let mut alive = guest();
    let mut order = order(Place::Here, DataPath::Passed, i32::try_from(alive.id()).ok());
    order.agent = agent;
    let start = std::time::Instant::now();
    let report = run(&order);
    alive.kill().unwrap();
    alive.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    match report {
        Report::Failed(failure) => Some(failure),
        report => panic!("it is believed: {report:?}"),
    }
}

fn check(lie: &Lie) {
    if let Some(failure) = failed(lie) {
        assert!(!failure.what.is_empty() && !failure.causes.is_empty(), "{failure:?}");
    }
}

#[test]
fn a_boastful_agent_is_not_believed() {
    for welcomes in [false, true] {
        let then = u32::MAX.to_le_bytes().to_vec();
        check(&Lie { welcomes, then, n_times: 1, with_descriptors: false });
    }
}

#[test]
fn an_agent_that_speaks_nonsense_is_not_believed() {
    for welcomes in [false, true] {
        let then = b"\x04\0\0\0\xff\xff\xff\xff".to_vec();
        check(&Lie { welcomes, then, n_times: 1, with_descriptors: false });
    }
}

#[test]
fn an_agent_that_never_comes_to_an_end_is_not_listened_to_for_ever() {
    for welcomes in [false, true] {
        let mut then = u32::try_from(MAX_FRAME).unwrap().to_le_bytes().to_vec();
        then.resize(64 << 10, 0xff);
        check(&Lie { welcomes, then, n_times: 1 << 20, with_descriptors: false });
    }
}

#[test]
fn a_descriptor_that_is_announced_and_does_not_come_ends_it() {
    let answer =
        |descriptor| FromAgent::Answer { id: RequestId(1), outcome: Ok(AgentAnswer::Done), descriptor };
    let then = encode_frame(&answer(true)).unwrap().to_vec();
    check(&Lie { welcomes: true, then, n_times: 1, with_descriptors: false });
}

#[test]
fn descriptors_that_nobody_has_announced_are_not_collected() {
    // A frame that never ends, and a descriptor with every byte of it.
    check(&Lie { welcomes: true, then: vec![0xff, 0xff, 1, 0], n_times: 1 << 16, with_descriptors: true });
}

#[test]
fn an_answer_to_another_question_ends_it() {
    let ids = (0..16).map(RequestId);
    let answers = ids.map(|id| FromAgent::Answer { id, outcome: Ok(AgentAnswer::Done), descriptor: false });
    let then: Vec<u8> = answers.flat_map(|answer| encode_frame(&answer).unwrap()).collect();
    check(&Lie { welcomes: true, then, n_times: 1, with_descriptors: false });
}
