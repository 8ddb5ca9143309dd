//! Lanes of calls: a guest's thread asks the agent itself.

use std::{
    fs::File,
    io::{Read, Write},
};

use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent, LaneKey, LaneOpen, ToAgent,
        fs::{FsAnswer, FsCall, Want},
        outgoing::SocketCall,
    },
    fault::Fault,
    id::RequestId,
};

use crate::envoy::{Agent, Lane, Outcome, Session, path};

fn lane(agent: &Agent, key: LaneKey) -> Result<Lane, i32> {
    let mut lane = agent.lane();
    lane.say(&LaneOpen::Calls(key));
    let welcome: Result<(), Fault> = lane.hear();
    welcome.map(|()| lane).map_err(|fault| fault.errno)
}

fn call(lane: &mut Lane, call: AgentCall) -> Outcome {
    lane.say(&ToAgent { id: RequestId(7), call, descriptor: false });
    let FromAgent::Answer { id: RequestId(7), outcome, descriptor } = lane.hear() else {
        panic!("that is no answer");
    };
    outcome.map(|answer| (answer, descriptor.then(|| lane.take_descriptor().unwrap())))
}

fn open(want: Want) -> AgentCall {
    AgentCall::Fs(FsCall::Open { path: path("/app/config.toml"), flags: libc::O_RDONLY, mode: 0, want })
}

fn begin() -> (Agent, Session, Lane) {
    let agent = Agent::in_pod();
    let session = agent.session();
    let lane = lane(&agent, session.key).unwrap();
    (agent, session, lane)
}

#[test]
fn files_and_sockets_come_by_a_lane_of_calls() {
    let (_agent, _session, mut lane) = begin();
    let stat = AgentCall::Fs(FsCall::Stat { path: path("/app/templates/7k.html"), follow: true });
    let Ok((AgentAnswer::Fs(FsAnswer::Stat(stat)), None)) = call(&mut lane, stat) else { panic!("no stat") };
    assert_eq!(stat.size, 7168);
    let (_, file) = call(&mut lane, open(Want::Descriptor)).unwrap();
    let mut text = String::new();
    File::from(file.unwrap()).read_to_string(&mut text).unwrap();
    assert!(text.contains("Corner Shop"), "{text}");
    let socket = SocketCall { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
    let (answer, socket) = call(&mut lane, AgentCall::Socket(socket)).unwrap();
    assert!(answer == AgentAnswer::Done && socket.is_some());
    let missing = AgentCall::Fs(FsCall::ReadLink(path("/no/such/link")));
    assert_eq!(call(&mut lane, missing).unwrap_err().errno, libc::ENOENT);
}

#[test]
fn what_is_the_sessions_own_is_not_asked_by_a_lane_of_calls() {
    let (_agent, _session, mut lane) = begin();
    for wrong in [AgentCall::Describe, AgentCall::Ping, open(Want::Handle(10))] {
        assert_eq!(call(&mut lane, wrong).unwrap_err().errno, libc::ENOSYS);
    }
    // It goes on all the same.
    call(&mut lane, open(Want::Descriptor)).unwrap();
}

#[test]
fn nonsense_ends_a_lane_of_calls_and_no_other() {
    let (agent, session, mut rude) = begin();
    let mut other = lane(&agent, session.key).unwrap();
    rude.stream.write_all(&[0xff; 64]).unwrap();
    assert!(!matches!(rude.try_hear::<FromAgent>(), Ok(Some(_))));
    call(&mut other, open(Want::Descriptor)).unwrap();
    assert_eq!(lane(&agent, LaneKey([9; 16])).err(), Some(libc::EACCES));
}

#[test]
fn lanes_of_calls_end_with_their_session() {
    let (_agent, session, mut lane) = begin();
    drop(session);
    assert!(!matches!(lane.try_hear::<FromAgent>(), Ok(Some(_))));
}
