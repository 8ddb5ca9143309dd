//! How long an agent with a port stays: with clients, without, and when it is told to go.

use std::process::Command;

use mirrord_protocol::agent::{AgentAnswer, AgentCall, FromAgent, control::Farewell};
use mirrord_tests::pod::Pod;
use mirrord_trunk::NearEvent;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    envoy::{POD, Session, program},
    listening::{Listening, Trunk},
};

fn patient(seconds: &str) -> Listening {
    let pid = POD.pid().to_string();
    Listening::start(Command::new(program()).args(["--target-pid", &pid, "--communication-timeout", seconds]))
}

fn answers(session: &mut Session) -> bool {
    session.call(AgentCall::Ping).is_ok_and(|(answer, _)| answer == AgentAnswer::Done)
}

#[test]
fn an_agent_to_which_nobody_comes_ends() {
    assert!(patient("1").await_end().success());
}

#[test]
fn the_last_session_that_parts_in_order_ends_the_agent_at_once() {
    let mut agent = patient("3600");
    let trunk = agent.trunk();
    drop(trunk.session("ann"));
    trunk.part();
    assert!(agent.await_end().success());
}

#[test]
fn an_agent_stays_for_whoever_else_is_there() {
    let mut agent = patient("4");
    let (anns, bens, carls) = (agent.trunk(), agent.trunk(), agent.trunk());
    let (ann, carl, mut ben) = (anns.session("ann"), carls.session("carl"), bens.session("ben"));
    drop(ann);
    anns.part();
    drop(carl);
    carls.die();
    let last = ended_trunk(&agent);
    assert!(answers(&mut ben) && agent.lives());
    drop(last);
    drop(ben);
    bens.part();
    assert!(agent.await_end().success());
}

/// A trunk that has come and gone, so that the patience for those before it is over.
fn ended_trunk(agent: &Listening) -> Trunk {
    let mut trunk = agent.trunk();
    let session = trunk.session("dora");
    trunk.gate.shut();
    while !matches!(trunk.next_event(), Some(NearEvent::Away(_))) {}
    drop(session);
    trunk
}

#[test]
fn an_agent_whose_last_proxy_was_killed_ends_after_its_patience() {
    let mut agent = patient("4");
    let trunk = agent.trunk();
    let session = trunk.session("ann");
    trunk.die();
    assert!(agent.await_end().success());
    drop(session);
}

#[test]
fn the_end_of_the_target_is_told_before_the_agent_goes() {
    let pod = Pod::start().unwrap();
    let mut agent = Listening::of(&pod);
    let (anns, bens) = (agent.trunk(), agent.trunk());
    let sessions = [anns.session("ann"), bens.session("ben")];
    kill(Pid::from_raw(pod.pid()), Signal::SIGKILL).unwrap();
    for mut session in sessions {
        assert_eq!(session.lane.hear::<FromAgent>(), FromAgent::Farewell(Farewell::TargetGone));
    }
    assert!(agent.await_end().success());
}

#[test]
fn an_agent_that_is_told_to_end_says_so() {
    let mut agent = patient("3600");
    let mut trunk = agent.trunk();
    let mut session = trunk.session("ann");
    agent.signal(Signal::SIGTERM);
    assert_eq!(session.lane.hear::<FromAgent>(), FromAgent::Farewell(Farewell::Evicted));
    assert!(matches!(trunk.next_event(), Some(NearEvent::Lost(_))));
    assert!(agent.await_end().success());
}

#[test]
fn a_killed_agent_is_lost() {
    let mut agent = patient("3600");
    let trunk = agent.trunk();
    let mut session = trunk.session("ann");
    assert!(answers(&mut session));
    agent.signal(Signal::SIGKILL);
    assert!(!agent.await_end().success());
}
