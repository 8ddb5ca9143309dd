//! Peers that break the protocol: they are told so, and nobody else notices.

use std::io::{Read, Write};

use mirrord_protocol::{
    agent::{AgentAnswer, AgentCall, FromAgent, Hello, LaneOpen, ToAgent, Welcome, control::Farewell},
    chunk::Chunk,
    frame::encode_frame,
    id::{ArrivalId, RequestId},
    version::Version,
    wire::MAX_FRAME,
};
use mirrord_tests::pod::ADDRESS;

use crate::envoy::{Agent, Lane, Session};

fn expect_farewell(lane: &mut Lane, words: &str) {
    match lane.hear() {
        FromAgent::Farewell(Farewell::Protocol(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("the peer is not sent away: {other:?}"),
    }
    let mut rest = Vec::new();
    // The lane ends, at once or by a reset of what was not read.
    let _ = lane.stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

fn check(bytes: &[u8], words: &str) {
    let agent = Agent::start(std::process::Command::new(crate::envoy::program()).args([
        "--here",
        "--log-level",
        "off",
    ]));
    let (mut bad, mut good) = (agent.session(), agent.session());
    bad.lane.stream.write_all(bytes).unwrap();
    expect_farewell(&mut bad.lane, words);
    assert_eq!(good.call(AgentCall::Ping).unwrap().0, AgentAnswer::Done);
    // The same as the first frame of a lane.
    let mut lane = agent.lane();
    lane.stream.write_all(bytes).unwrap();
    expect_farewell(&mut lane, words);
    assert_eq!(good.call(AgentCall::Ping).unwrap().0, AgentAnswer::Done);
}

#[test]
fn a_boastful_frame_ends_its_session_alone() {
    check(&u32::MAX.to_le_bytes(), "peer announced a frame of 4294967295 bytes");
    let just_beyond = u32::try_from(MAX_FRAME + 1).unwrap().to_le_bytes();
    check(&just_beyond, "peer announced a frame");
}

#[test]
fn a_malformed_frame_ends_its_session_alone() {
    check(b"\x04\0\0\0\xff\xff\xff\xff", "malformed");
    check(b"\0\0\0\0", "malformed");
}

#[test]
fn a_frame_that_goes_on_ends_its_session() {
    let agent = quiet();
    let mut session = agent.session();
    let call = ToAgent { id: RequestId(1), call: AgentCall::Ping, descriptor: false };
    let mut frame = encode_frame(&call).unwrap().to_vec();
    frame.push(0);
    frame[0] += 1;
    session.lane.stream.write_all(&frame).unwrap();
    expect_farewell(&mut session.lane, "followed by 1 unexpected");
}

fn quiet() -> Agent {
    Agent::start(std::process::Command::new(crate::envoy::program()).args(["--here", "--log-level", "off"]))
}

#[test]
fn a_descriptor_that_does_not_ride_along_ends_its_session() {
    let agent = quiet();
    let mut session = agent.session();
    let call = AgentCall::Return(ArrivalId(7));
    session.lane.say(&ToAgent { id: RequestId(1), call, descriptor: true });
    expect_farewell(&mut session.lane, "descriptors do not match");
}

#[test]
fn a_frame_that_is_cut_ends_its_session() {
    let agent = quiet();
    let mut session = agent.session();
    session.lane.stream.write_all(&[9, 0, 0, 0, 1]).unwrap();
    session.lane.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(session.lane.try_hear::<FromAgent>().is_ok_and(|frame| frame.is_none()));
    assert_eq!(agent.session().call(AgentCall::Ping).unwrap().0, AgentAnswer::Done);
}

#[test]
fn another_major_version_is_refused_in_words() {
    let agent = quiet();
    let mut lane = agent.lane();
    let version = Version { major: 999, minor: 0 };
    lane.say(&LaneOpen::Control(Hello { version, owner: String::new() }));
    match lane.hear() {
        Welcome::Refused(words) => assert!(words.contains("999.0"), "{words}"),
        Welcome::Settled(..) => panic!("nobody speaks that"),
    }
}

#[test]
fn a_newer_minor_version_settles_on_ours() {
    let agent = quiet();
    let mut lane = agent.lane();
    let version = Version { minor: u16::MAX, ..Version::OURS };
    lane.say(&LaneOpen::Control(Hello { version, owner: String::new() }));
    assert!(matches!(lane.hear(), Welcome::Settled(Version::OURS, _)));
}

#[test]
fn nonsense_instead_of_a_chunk_resets_that_stream_alone() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let echo =
        || mirrord_protocol::agent::outgoing::Destination::Tcp(format!("{ADDRESS}:7").parse().unwrap());
    let (mut bad, outcome) = agent.connect(&session, echo());
    outcome.unwrap();
    let (mut good, outcome) = agent.connect(&session, echo());
    outcome.unwrap();
    bad.stream.write_all(&0x0002_0000_u32.to_le_bytes()).unwrap();
    assert!(bad.next_chunk().is_err(), "the lane ends without an end");
    good.send(b"well");
    assert_eq!(good.read(4), b"well");
    // Nothing may follow an end.
    good.send_chunk(Chunk::Finished);
    good.try_send_chunk(Chunk::Data(1));
    while good.next_chunk().is_ok_and(|(chunk, _)| chunk != Chunk::Finished) {}
}

#[test]
fn a_thousand_calls_at_once_are_all_answered() {
    let agent = Agent::in_pod();
    let mut session: Session = agent.session();
    let stat = || {
        let path = crate::envoy::path("/data/orders.txt");
        AgentCall::Fs(mirrord_protocol::agent::fs::FsCall::Stat { path, follow: true })
    };
    let mut asked: Vec<RequestId> = (0..1000).map(|_| session.ask(stat())).collect();
    let mut answered: Vec<RequestId> = (0..1000)
        .map(|_| {
            let (id, outcome) = session.next_answer();
            outcome.unwrap();
            id
        })
        .collect();
    asked.sort();
    answered.sort();
    assert_eq!(asked, answered);
}
