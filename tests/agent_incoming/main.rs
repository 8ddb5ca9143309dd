//! Floor 4: the traffic that a target receives, by the real agent in a pretend pod.
//!
//! The clients are lanes, too: what the agent connects for a session begins in the pod like anybody's connection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a story that cannot be told has failed, and says where"
)]

#[allow(dead_code, reason = "these stories need a part of it")]
#[path = "../agent/envoy.rs"]
mod envoy;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
};

use envoy::{Agent, Lane, SOON, Session};
use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent, LaneOpen, ToAgent,
        incoming::{Arrival, Port, SubscribeCall, Wish},
        outgoing::Destination,
    },
    chunk::Chunk,
    fault::Fault,
    id::{ArrivalId, RequestId},
};
use mirrord_tests::{
    eventually::eventually,
    pod::{ADDRESS, ADDRESS_6, Pod, root::pattern},
};

/// The pod's echo.
const ECHO: Port = Port(7);

/// A pod and an agent of its own: these stories change what the pod's ports do.
fn standing() -> (Pod, Agent) {
    let pod = Pod::start().expect("a pretend pod can be made");
    let agent = Agent::of(&pod);
    (pod, agent)
}

fn subscribe(session: &mut Session, wish: Wish, pass: bool) -> Result<(), Fault> {
    session.call(AgentCall::Subscribe(SubscribeCall { port: ECHO, wish, pass })).map(drop)
}

fn client(agent: &Agent, session: &Session, ip: &str) -> Lane {
    let to = Destination::Tcp(SocketAddr::new(ip.parse().unwrap(), ECHO.0));
    let (lane, outcome) = agent.connect(session, to);
    outcome.unwrap();
    lane
}

fn next_arrival(session: &mut Session) -> (Arrival, Option<OwnedFd>) {
    loop {
        if let FromAgent::Arrival(arrival) = session.lane.hear() {
            let riding =
                arrival.descriptor.then(|| session.lane.take_descriptor().expect("a connection rides along"));
            return (arrival, riding);
        }
    }
}

fn take(agent: &Agent, session: &Session, id: ArrivalId) -> Lane {
    let mut lane = agent.lane();
    lane.say(&LaneOpen::Arrival(session.key, id));
    lane.hear::<Result<(), Fault>>().unwrap();
    lane
}

/// Whether the pod itself answers at the port.
fn echoes(agent: &Agent) -> bool {
    let session = agent.session();
    let mut lane = client(agent, &session, ADDRESS);
    lane.send(b"anybody");
    lane.send_chunk(Chunk::Finished);
    lane.read_to_end() == (b"anybody".to_vec(), Chunk::Finished)
}

#[test]
fn a_stolen_connection_rides_along_and_is_the_real_one() {
    let (_pod, agent) = standing();
    let mut session = agent.session();
    subscribe(&mut session, Wish::Steal, true).unwrap();
    for ip in [ADDRESS, ADDRESS_6, "127.0.0.1", "::1"] {
        let mut client = client(&agent, &session, ip);
        client.send(b"question");
        let (arrival, connection) = next_arrival(&mut session);
        assert_eq!(session.call(AgentCall::Accepted(arrival.id)).unwrap().0, AgentAnswer::Done);
        assert_eq!((arrival.port, arrival.wish), (ECHO, Wish::Steal));
        assert_eq!(arrival.local, SocketAddr::new(ip.parse().unwrap(), ECHO.0));
        let mut stolen = TcpStream::from(connection.unwrap());
        assert_eq!(stolen.peer_addr().unwrap(), arrival.peer);
        stolen.set_read_timeout(Some(SOON)).unwrap();
        let mut heard = [0; 8];
        stolen.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"question");
        stolen.write_all(b"answer").unwrap();
        drop(stolen);
        assert_eq!(client.read_to_end(), (b"answer".to_vec(), Chunk::Finished));
    }
}

#[test]
fn a_stolen_connection_waits_for_its_lane_and_goes_both_ways() {
    let (_pod, agent) = standing();
    let mut session = agent.session();
    subscribe(&mut session, Wish::Steal, false).unwrap();
    let mut client = client(&agent, &session, ADDRESS);
    client.send(b"question");
    client.send_chunk(Chunk::Finished);
    let (arrival, connection) = next_arrival(&mut session);
    assert!(connection.is_none());
    let mut lane = take(&agent, &session, arrival.id);
    assert_eq!(lane.read_to_end(), (b"question".to_vec(), Chunk::Finished));
    let answer = pattern(3_000_000);
    let reader = std::thread::spawn(move || client.read_to_end());
    lane.send(&answer);
    lane.send_chunk(Chunk::Finished);
    assert!(reader.join().unwrap() == (answer, Chunk::Finished));
}

#[test]
fn a_returned_connection_is_answered_by_the_pod() {
    let (_pod, agent) = standing();
    let mut session = agent.session();
    for pass in [true, false] {
        subscribe(&mut session, Wish::Steal, pass).unwrap();
        let mut client = client(&agent, &session, ADDRESS);
        client.send(b"question");
        client.send_chunk(Chunk::Finished);
        let (arrival, connection) = next_arrival(&mut session);
        give_back(&mut session, arrival.id, connection.as_ref());
        assert_eq!(client.read_to_end(), (b"question".to_vec(), Chunk::Finished), "passed: {pass}");
    }
}

fn give_back(session: &mut Session, id: ArrivalId, connection: Option<&OwnedFd>) {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::{io::IoSlice, os::fd::AsRawFd};
    let call =
        ToAgent { id: RequestId(u64::MAX), call: AgentCall::Return(id), descriptor: connection.is_some() };
    let frame = mirrord_protocol::frame::encode_frame(&call).unwrap();
    let descriptors: Vec<_> = connection.into_iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let rights = if descriptors.is_empty() { &[][..] } else { &rights };
    let lane = session.lane.stream.as_raw_fd();
    let n_sent = sendmsg::<()>(lane, &[IoSlice::new(&frame)], rights, MsgFlags::empty(), None).unwrap();
    assert_eq!(n_sent, frame.len());
    session.next_answer().1.unwrap();
}

#[test]
fn a_mirror_hears_what_the_pod_hears_while_the_pod_answers() {
    let (_pod, agent) = standing();
    let mut session = agent.session();
    subscribe(&mut session, Wish::Mirror, false).unwrap();
    for (ip, length) in [(ADDRESS, 11), (ADDRESS_6, 2_000_000), ("127.0.0.1", 0)] {
        let question = pattern(length);
        let mut client = client(&agent, &session, ip);
        let sent = question.clone();
        let asking = std::thread::spawn(move || {
            let mut writer = client.stream.try_clone().unwrap();
            let sending = std::thread::spawn(move || {
                for piece in sent.chunks(mirrord_protocol::chunk::MAX_CHUNK) {
                    writer.write_all(&Chunk::Data(piece.len()).encode()).unwrap();
                    writer.write_all(piece).unwrap();
                }
                writer.write_all(&Chunk::Finished.encode()).unwrap();
            });
            let answer = client.read_to_end();
            sending.join().unwrap();
            answer
        });
        let (arrival, _) = next_arrival(&mut session);
        assert_eq!(arrival.local.ip(), ip.parse::<std::net::IpAddr>().unwrap());
        let mut lane = take(&agent, &session, arrival.id);
        assert!(lane.read_to_end() == (question.clone(), Chunk::Finished), "{ip}");
        assert!(asking.join().unwrap() == (question, Chunk::Finished), "{ip}");
    }
}

#[test]
fn the_second_who_wants_a_port_is_told_who_has_it() {
    let (pod, agent) = standing();
    let other_agent = Agent::of(&pod);
    let (mut first, mut second, mut third) = (agent.session(), agent.session(), other_agent.session());
    subscribe(&mut first, Wish::Steal, true).unwrap();
    for session in [&mut second, &mut third] {
        let fault = subscribe(session, Wish::Steal, true).unwrap_err();
        assert_eq!(fault.errno, libc::EADDRINUSE);
        assert!(fault.words.contains("`a story`"), "{}", fault.words);
    }
    first.call(AgentCall::Unsubscribe(ECHO)).unwrap();
    subscribe(&mut third, Wish::Steal, true).unwrap();
}

#[test]
fn the_end_of_a_session_gives_its_ports_and_connections_back() {
    let (_pod, agent) = standing();
    let asking = agent.session();
    for pass in [true, false] {
        let mut session = agent.session();
        subscribe(&mut session, Wish::Steal, pass).unwrap();
        let mut waiting = client(&agent, &asking, ADDRESS);
        waiting.send(b"question");
        waiting.send_chunk(Chunk::Finished);
        if pass {
            // What had been handed over is the session's, and ends with it.
            drop(session);
        } else {
            next_arrival(&mut session);
            drop(session);
            assert_eq!(waiting.read_to_end(), (b"question".to_vec(), Chunk::Finished));
        }
        eventually("the pod's own answer", SOON, || echoes(&agent).then_some(()));
    }
}

#[test]
fn an_agent_that_is_killed_leaves_the_pod_as_it_was() {
    let (pod, agent) = standing();
    let mut session = agent.session();
    subscribe(&mut session, Wish::Steal, true).unwrap();
    let (witness, before) = (Agent::of(&pod), "a connection that lived before");
    let asking = witness.session();
    let mut stolen = client(&witness, &asking, ADDRESS);
    stolen.send(before.as_bytes());
    next_arrival(&mut session);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(agent.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the pod's own answer", SOON, || echoes(&witness).then_some(()));
}
