//! Sessions over trunks: what a session can do, several of them, and connections that are cut.

use std::{io::Write, net::TcpStream, process::Command};

use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent, LaneOpen,
        control::Level,
        env::EnvironmentCall,
        fs::{FsAnswer, FsCall, Want},
        incoming::{Arrival, Port, SubscribeCall, Wish},
        outgoing::{ConnectCall, Connected, Destination, SocketCall},
    },
    chunk::Chunk,
    fault::Fault,
};
use mirrord_tests::{
    eventually::eventually,
    pod::{ADDRESS, Pod, root::pattern},
};
use mirrord_trunk::{
    NearEvent,
    pinned::{Identity, PublicKey},
};

use crate::{
    envoy::{Agent, Lane, POD, SOON, Session, path, program},
    listening::{Gate, Listening, RESTORED, Trunk, echoes, next_log},
};

/// The pod's echo.
const ECHO: Port = Port(7);

fn echo() -> std::net::SocketAddr {
    format!("{ADDRESS}:{}", ECHO.0).parse().unwrap()
}

fn steal(session: &mut Session) -> Result<(), Fault> {
    let call = SubscribeCall { port: ECHO, wish: Wish::Steal, pass: false };
    session.call(AgentCall::Subscribe(call)).map(drop)
}

fn next_arrival(session: &mut Session) -> Arrival {
    loop {
        if let FromAgent::Arrival(arrival) = session.lane.hear() {
            return arrival;
        }
    }
}

/// Somebody who connects in the pod, by an agent of their own.
struct Visitor(Agent, Session);

impl Visitor {
    fn of(pod: &Pod) -> Self {
        let agent = Agent::of(pod);
        let session = agent.session();
        Self(agent, session)
    }

    fn is_echoed(&self) -> bool {
        echoes(self.0.lane(), &self.1, echo())
    }

    fn ask(&self, question: &[u8]) -> Lane {
        let (mut lane, outcome) = self.0.connect(&self.1, Destination::Tcp(echo()));
        outcome.unwrap();
        lane.send(question);
        lane.send_chunk(Chunk::Finished);
        lane
    }
}

#[test]
fn a_session_over_a_trunk_does_what_one_on_the_same_machine_does() {
    let agent = Listening::of(&POD);
    let trunk = agent.trunk();
    let mut session = trunk.session("a story");
    let call = EnvironmentCall { include: vec!["SHOP_NAME".into()], exclude: Vec::new() };
    let (AgentAnswer::Environment(environment), None) = session.call(AgentCall::Environment(call)).unwrap()
    else {
        panic!("that is no environment")
    };
    assert_eq!(environment.0, [("SHOP_NAME", "Corner Shop")].map(bytes));
    let want = Want::Handle(1 << 16);
    let open = FsCall::Open { path: path("/data/orders.txt"), flags: libc::O_RDONLY, mode: 0, want };
    let Ok(FsAnswer::Opened { contents: Some(contents), .. }) = session.fs(open) else {
        panic!("a small file comes with its bytes")
    };
    assert_eq!(contents.to_vec(), std::fs::read(POD.path("/data/orders.txt")).unwrap());
    let (mut lane, outcome) = trunk.lane().connect(&session, Destination::Tcp(echo()));
    outcome.unwrap();
    let question = pattern(3_000_000);
    let mut writer = lane.stream.try_clone().unwrap();
    let sent = question.clone();
    let sending = std::thread::spawn(move || {
        for piece in sent.chunks(mirrord_protocol::chunk::MAX_CHUNK) {
            writer.write_all(&Chunk::Data(piece.len()).encode()).unwrap();
            writer.write_all(piece).unwrap();
        }
        writer.write_all(&Chunk::Finished.encode()).unwrap();
    });
    assert!(lane.read_to_end() == (question, Chunk::Finished));
    sending.join().unwrap();
}

fn bytes((name, value): (&str, &str)) -> (serde_bytes::ByteBuf, serde_bytes::ByteBuf) {
    (serde_bytes::ByteBuf::from(name), serde_bytes::ByteBuf::from(value))
}

#[test]
fn a_trunk_has_no_lanes_of_calls() {
    let agent = Listening::of(&POD);
    let trunk = agent.trunk();
    let session = trunk.session("ann@laptop");
    let mut lane = trunk.lane();
    lane.say(&LaneOpen::Calls(session.key));
    assert_eq!(lane.hear::<Result<(), Fault>>().unwrap_err().errno, libc::EOPNOTSUPP);
}

#[test]
fn sessions_share_an_agent_and_are_told_who_has_a_port() {
    let pod = Pod::start().unwrap();
    let agent = Listening::of(&pod);
    let (anns, bens) = (agent.trunk(), agent.trunk());
    let (mut ann, mut ben) = (anns.session("ann@laptop"), bens.session("ben@desk"));
    steal(&mut ann).unwrap();
    let fault = steal(&mut ben).unwrap_err();
    assert_eq!(fault.errno, libc::EADDRINUSE);
    assert_eq!(fault.words, "port `7` of the target is already stolen by `ann@laptop`");
    anns.part();
    eventually("the port of a session that has parted", SOON, || steal(&mut ben).ok());
    let visitor = Visitor::of(&pod);
    let mut asking = visitor.ask(b"question");
    let arrival = next_arrival(&mut ben);
    let mut taken = bens.lane();
    taken.say(&LaneOpen::Arrival(ben.key, arrival.id));
    taken.hear::<Result<(), Fault>>().unwrap();
    assert_eq!(taken.read_to_end(), (b"question".to_vec(), Chunk::Finished));
    taken.send(b"answer");
    taken.send_chunk(Chunk::Finished);
    assert_eq!(asking.read_to_end(), (b"answer".to_vec(), Chunk::Finished));
}

#[test]
fn two_agents_of_one_network_tell_each_other_who_has_a_port() {
    let pod = Pod::start().unwrap();
    let (first, second) = (Listening::of(&pod), Listening::of(&pod));
    let (anns, bens) = (first.trunk(), second.trunk());
    let (mut ann, mut ben) = (anns.session("ann@laptop"), bens.session("ben@desk"));
    steal(&mut ann).unwrap();
    assert!(steal(&mut ben).unwrap_err().words.ends_with("is already stolen by `ann@laptop`"));
    ann.call(AgentCall::Unsubscribe(ECHO)).unwrap();
    steal(&mut ben).unwrap();
}

#[test]
fn the_key_of_a_session_opens_lanes_of_its_own_trunk_only() {
    let agent = Listening::of(&POD);
    let (anns, bens) = (agent.trunk(), agent.trunk());
    let ann = anns.session("ann");
    let mut lane = bens.lane();
    lane.say(&LaneOpen::Connect(ann.key, ConnectCall { to: Destination::Tcp(echo()) }));
    assert_eq!(lane.hear::<Result<Connected, Fault>>().unwrap_err().errno, libc::EACCES);
    assert!(echoes(anns.lane(), &ann, echo()));
}

#[test]
fn what_cannot_travel_is_refused_instead_of_lost() {
    let agent = Listening::of(&POD);
    let trunk = agent.trunk();
    let mut session = trunk.session("ann");
    let want = Want::Descriptor;
    let open = FsCall::Open { path: path("/data/orders.txt"), flags: libc::O_RDONLY, mode: 0, want };
    for call in [
        AgentCall::Fs(open),
        AgentCall::Socket(SocketCall { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 }),
        AgentCall::Subscribe(SubscribeCall { port: ECHO, wish: Wish::Steal, pass: true }),
    ] {
        assert_eq!(session.call(call).unwrap_err().errno, libc::EOPNOTSUPP);
    }
}

#[test]
fn a_cut_that_heals_at_once_is_noticed_by_nobody() {
    let pod = Pod::start().unwrap();
    let agent = Listening::of(&pod);
    let mut trunk = agent.trunk();
    let mut session = trunk.session("ann");
    let (mut lane, outcome) = trunk.lane().connect(&session, Destination::Tcp(echo()));
    outcome.unwrap();
    steal(&mut session).unwrap();
    trunk.gate.shut();
    assert!(matches!(trunk.next_event(), Some(NearEvent::Away(_))));
    lane.send(b"while away");
    trunk.gate.open();
    assert!(matches!(trunk.next_event(), Some(NearEvent::Back(_))));
    assert_eq!(lane.read(10), b"while away");
    // By then the agent has noticed, however slow this machine is.
    drop(trunk.session("ben"));
    // Who asks stays, or their connection may be gone before anybody has looked at it.
    let visitor = Visitor::of(&pod);
    let _asking = visitor.ask(b"question");
    assert_eq!(next_arrival(&mut session).port, ECHO);
}

#[test]
fn a_session_that_is_away_gives_its_ports_back_and_has_them_again_when_back() {
    let pod = Pod::start().unwrap();
    let agent = Listening::of(&pod);
    let mut trunk = agent.trunk();
    let mut session = trunk.session("ann");
    steal(&mut session).unwrap();
    let visitor = Visitor::of(&pod);
    let mut waiting = visitor.ask(b"question");
    let untaken = next_arrival(&mut session);
    trunk.gate.shut();
    // What had arrived and was not taken is the pod's, and so is all that comes later.
    assert_eq!(waiting.read_to_end(), (b"question".to_vec(), Chunk::Finished));
    eventually("the pod's own answer", RESTORED, || visitor.is_echoed().then_some(()));
    assert!(matches!(trunk.next_event(), Some(NearEvent::Away(_))));
    trunk.gate.open();
    assert!(matches!(trunk.next_event(), Some(NearEvent::Back(_))));
    let mut late = trunk.lane();
    late.say(&LaneOpen::Arrival(session.key, untaken.id));
    assert_eq!(late.hear::<Result<(), Fault>>().unwrap_err().errno, libc::ENOENT);
    let _asking = visitor.ask(b"again");
    assert_eq!(next_arrival(&mut session).port, ECHO);
}

#[test]
fn whoever_comes_back_too_late_is_told_who_has_the_port_now() {
    let pod = Pod::start().unwrap();
    let agent = Listening::of(&pod);
    let (mut anns, bens) = (agent.trunk(), agent.trunk());
    let (mut ann, mut ben) = (anns.session("ann"), bens.session("ben"));
    steal(&mut ann).unwrap();
    anns.gate.shut();
    eventually("the port of a session that is away", RESTORED, || steal(&mut ben).ok());
    assert!(matches!(anns.next_event(), Some(NearEvent::Away(_))));
    anns.gate.open();
    let line = next_log(&mut ann);
    assert_eq!(line.level, Level::Error);
    assert!(line.text.contains("port `7` of the target is already stolen by `ben`"), "{}", line.text);
}

#[test]
fn a_killed_proxy_leaves_the_pod_its_own_traffic_within_ten_seconds() {
    let pod = Pod::start().unwrap();
    let agent = Listening::of(&pod);
    let trunk = agent.trunk();
    let mut session = trunk.session("ann");
    steal(&mut session).unwrap();
    let visitor = Visitor::of(&pod);
    trunk.die();
    eventually("the pod's own answer", RESTORED, || visitor.is_echoed().then_some(()));
    // Until now, or the agent would have seen the session's own end.
    drop(session);
}

#[test]
fn only_whoever_has_the_key_is_served() {
    let (ours, strangers) = (Identity::new().unwrap(), Identity::new().unwrap());
    let mut command = Command::new(program());
    command.args(["--target-pid", &POD.pid().to_string(), "--pinned", &ours.public().to_string()]);
    let agent = Listening::start(&mut command);
    let theirs: PublicKey = agent.key.expect("the agent tells its key");
    let trunk = Trunk::to(Gate::locked(agent.address, Some((ours.clone(), theirs)))).unwrap();
    let session = trunk.session("ann");
    assert!(echoes(trunk.lane(), &session, echo()));
    for (words, keys) in [
        ("nobody without a key", None),
        ("no other key", Some((strangers.clone(), theirs))),
        ("no agent with another key", Some((ours, strangers.public()))),
    ] {
        assert!(Trunk::to(Gate::locked(agent.address, keys)).is_err(), "{words}");
    }
}

#[test]
fn whoever_connects_and_says_nothing_is_turned_away() {
    use std::io::Read;
    let agent = Listening::of(&POD);
    let mut silent = TcpStream::connect(agent.address).unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
}
