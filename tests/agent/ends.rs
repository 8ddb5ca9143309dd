//! Ends: of the proxy, of the target, of the agent, of a session.

use std::process::Command;

use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent,
        control::Farewell,
        fs::{FsCall, Want},
        outgoing::Destination,
    },
    chunk::Chunk,
};
use mirrord_tests::{
    eventually::eventually,
    pod::{ADDRESS, Pod},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::envoy::{Agent, POD, SOON, path, program};

fn echo() -> Destination {
    Destination::Tcp(format!("{ADDRESS}:7").parse().unwrap())
}

#[test]
fn the_agent_ends_with_its_proxy_whatever_is_under_way() {
    let mut agent = Agent::in_pod();
    let mut session = agent.session();
    let (mut lane, _) = agent.connect(&session, echo());
    lane.send(b"x");
    lane.read(1);
    // Nobody will ever write into it, so that opening it waits in the kernel.
    let fifo = path("/data/out/waiting");
    session.done(FsCall::MakeNode { path: fifo.clone(), mode: libc::S_IFIFO | 0o600 }).unwrap();
    let open = FsCall::Open { path: fifo, flags: libc::O_RDONLY, mode: 0, want: Want::Descriptor };
    session.ask(AgentCall::Fs(open));
    session.call(AgentCall::Ping).unwrap();
    agent.leave();
    assert!(agent.await_end().success());
    assert!(lane.next_chunk().is_err());
}

#[test]
fn a_killed_target_is_told_and_the_agent_ends() {
    let pod = Pod::start().unwrap();
    let mut agent = Agent::of(&pod);
    let mut session = agent.session();
    session.call(AgentCall::Ping).unwrap();
    kill(Pid::from_raw(pod.pid()), Signal::SIGKILL).unwrap();
    assert_eq!(session.lane.hear::<FromAgent>(), FromAgent::Farewell(Farewell::TargetGone));
    assert!(agent.await_end().success());
}

#[test]
fn a_terminated_agent_ends_in_order() {
    let mut agent = Agent::in_pod();
    let _session = agent.session();
    kill(Pid::from_raw(i32::try_from(agent.pid()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(agent.await_end().success());
}

#[test]
fn a_killed_agent_resets_what_it_carried() {
    let mut agent = Agent::in_pod();
    let session = agent.session();
    let (mut lane, _) = agent.connect(&session, echo());
    lane.send(b"x");
    lane.read(1);
    kill(Pid::from_raw(i32::try_from(agent.pid()).unwrap()), Signal::SIGKILL).unwrap();
    assert!(!agent.await_end().success());
    assert!(lane.next_chunk().is_err());
}

#[test]
fn a_sessions_lanes_end_with_it_and_others_live_on() {
    let agent = Agent::in_pod();
    let (ann, mut ben) = (agent.session(), agent.session());
    let (mut anns, _) = agent.connect(&ann, echo());
    let (mut bens, _) = agent.connect(&ben, echo());
    drop(ann);
    assert!(anns.next_chunk().is_err());
    bens.send(b"here");
    assert_eq!(bens.read(4), b"here");
    assert_eq!(ben.call(AgentCall::Ping).unwrap().0, AgentAnswer::Done);
}

#[test]
fn what_a_session_held_open_is_closed_with_it() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let n_open = || std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    session.call(AgentCall::Ping).unwrap();
    let before = n_open();
    for _ in 0..50 {
        let want = Want::Handle(0);
        let open = FsCall::Open { path: path("/data/big"), flags: libc::O_RDONLY, mode: 0, want };
        session.fs(open).unwrap();
    }
    assert_eq!(n_open(), before + 50);
    drop(session);
    eventually("the files are closed", SOON, || (n_open() < before).then_some(()));
}

#[test]
fn nothing_of_an_agent_is_left() {
    let mut agent = Agent::in_pod();
    let pid = agent.pid();
    let (mut lane, _) = agent.connect(&agent.session(), echo());
    let _ = lane.next_chunk();
    agent.leave();
    agent.await_end();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(POD.path("/data/orders.txt").exists());
}

#[test]
fn a_lane_may_leave_while_it_connects() {
    let agent = Agent::start(Command::new(program()).arg("--here"));
    let mut session = agent.session();
    for _ in 0..100 {
        let mut lane = agent.lane();
        let to = Destination::Tcp("127.0.0.1:1".parse().unwrap());
        let call = mirrord_protocol::agent::outgoing::ConnectCall { to };
        lane.say(&mirrord_protocol::agent::LaneOpen::Connect(session.key, call));
        lane.try_send_chunk(Chunk::Finished);
    }
    assert_eq!(session.call(AgentCall::Ping).unwrap().0, AgentAnswer::Done);
}
