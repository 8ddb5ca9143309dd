//! Where an agent stands: the target in a few words, its environment, and the ways not to get there.

use std::{os::fd::AsRawFd, process::Command};

use mirrord_protocol::agent::{
    AgentAnswer, AgentCall, Hello, LaneOpen, Welcome,
    control::TargetDescription,
    env::{Environment, EnvironmentCall},
    outgoing::SocketCall,
};
use mirrord_protocol::version::Version;
use mirrord_tests::pod::{ADDRESS, ADDRESS_6, NAME};

use crate::envoy::{Agent, POD, Session, program};

fn describe(session: &mut Session) -> TargetDescription {
    match session.call(AgentCall::Describe).unwrap() {
        (AgentAnswer::Target(target), None) => target,
        other => panic!("that describes nothing: {other:?}"),
    }
}

fn cookie(socket: &impl AsRawFd) -> u64 {
    let (mut cookie, mut length) = (0_u64, 8);
    // SAFETY: The option writes eight bytes into a number of eight.
    let outcome = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, 71, (&raw mut cookie).cast(), &raw mut length)
    };
    assert_eq!(outcome, 0);
    cookie
}

#[test]
fn the_target_is_described_as_it_sees_itself() {
    let agent = Agent::in_pod();
    let target = describe(&mut agent.session());
    assert_eq!(target.hostname, NAME);
    assert_eq!(target.pid, Some(POD.pid()));
    for address in [ADDRESS, ADDRESS_6] {
        assert!(target.addresses.contains(&address.parse().unwrap()), "{address} in {:?}", target.addresses);
    }
    assert!(target.addresses.iter().all(|ip| !ip.is_loopback()));
}

#[test]
fn a_passed_socket_is_of_the_targets_network() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let target = describe(&mut session);
    let here = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for (domain, kind) in [(libc::AF_INET, libc::SOCK_STREAM), (libc::AF_INET6, libc::SOCK_DGRAM)] {
        let call = AgentCall::Socket(SocketCall { domain, kind, protocol: 0 });
        let (answer, socket) = session.call(call).unwrap();
        assert_eq!(answer, AgentAnswer::Done);
        assert_eq!(cookie(&socket.unwrap()), target.netns_cookie);
    }
    assert_ne!(cookie(&here), target.netns_cookie);
}

#[test]
fn only_internet_sockets_are_made() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    for (domain, kind, errno) in [
        (libc::AF_PACKET, libc::SOCK_DGRAM, libc::EAFNOSUPPORT),
        (libc::AF_NETLINK, libc::SOCK_DGRAM, libc::EAFNOSUPPORT),
        (libc::AF_INET, libc::SOCK_RAW, libc::ESOCKTNOSUPPORT),
        (libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, libc::ESOCKTNOSUPPORT),
    ] {
        let call = AgentCall::Socket(SocketCall { domain, kind, protocol: 0 });
        assert_eq!(session.call(call).unwrap_err().errno, errno, "{domain} {kind}");
    }
}

fn environment(call: EnvironmentCall) -> Vec<(String, String)> {
    let agent = Agent::in_pod();
    let (answer, _) = agent.session().call(AgentCall::Environment(call)).unwrap();
    let AgentAnswer::Environment(Environment(variables)) = answer else {
        panic!("no environment: {answer:?}")
    };
    let text = |bytes: serde_bytes::ByteBuf| String::from_utf8(bytes.into_vec()).unwrap();
    variables.into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn the_environment_is_the_targets_without_what_never_travels() {
    let variables = environment(EnvironmentCall::default());
    let value = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    assert_eq!(value("SHOP_ODD"), Some("a=b;c \"quoted\" \u{e9}"));
    assert_eq!(value("SHOP_EMPTY"), Some(""));
    assert_eq!(value("SHOP_LINES"), Some("first\nsecond"));
    assert_eq!((value("PATH"), value("HOME")), (None, None));
}

#[test]
fn the_environment_is_filtered_at_the_source() {
    let call =
        EnvironmentCall { include: vec!["SHOP_*".into(), "API_URL".into()], exclude: vec!["*_O*".into()] };
    let names: Vec<String> = environment(call).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["SHOP_NAME", "SHOP_EMPTY", "SHOP_LINES", "API_URL"]);
}

#[test]
fn without_a_target_the_agent_stands_here() {
    let agent = Agent::start(Command::new(program()).arg("--here"));
    let mut session = agent.session();
    let target = describe(&mut session);
    assert_eq!(target.pid, None);
    assert_eq!(target.hostname, nix::unistd::gethostname().unwrap().to_string_lossy());
    assert_eq!(target.netns_cookie, cookie(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap()));
    let call = AgentCall::Environment(EnvironmentCall::default());
    assert_eq!(session.call(call).unwrap().0, AgentAnswer::Environment(Environment::default()));
}

#[test]
fn a_target_that_is_not_there_is_told_to_the_proxy() {
    // Beyond every number that the kernel gives.
    let agent =
        Agent::start(Command::new(program()).args(["--log-level", "off", "--target-pid", "2147483647"]));
    let mut lane = agent.lane();
    lane.say(&LaneOpen::Control(Hello { version: Version::OURS, owner: String::new() }));
    match lane.hear() {
        Welcome::Refused(words) => {
            assert!(words.starts_with("cannot reach process `2147483647`: No such process"), "{words}");
        }
        Welcome::Settled(..) => panic!("there is no such target"),
    }
}

#[test]
fn an_agent_of_no_proxy_ends_with_an_error() {
    let output = Command::new(program()).arg("--here").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("descriptor 3"));
}
