//! How a session begins, and who may talk to it.

use std::{fs::File, io::Read};

use mirrord_config::handoff::{DataPath, Handoff};
use mirrord_protocol::{
    GuestPath,
    agent::{
        dns::{DnsAnswer, DnsCall, Family, NoAnswer},
        fs::FsCall,
    },
    proxy::{FromProxy, ToProxy, sockets::SHARED},
    version::Version,
};
use mirrord_tests::pod;

use crate::{
    layer::{Layer, hello},
    stage::{Stage, guest, order, run},
    start::{Place, Report},
};

#[test]
fn a_session_knows_its_target() {
    let stage = Stage::new(DataPath::Passed);
    assert_eq!(stage.ready.hostname, pod::NAME);
    let environment = &stage.ready.environment.0;
    assert!(environment.iter().any(|(name, _)| name.as_slice() == b"HOSTNAME" || !name.is_empty()));
    let mut layer = stage.layer();
    let mut bytes = Vec::new();
    let ports = layer.handed.pop().unwrap();
    File::from(layer.handed.pop().unwrap()).read_to_end(&mut bytes).ok();
    let handoff = handoff(&stage.layer());
    assert_eq!(handoff.facts.hostname, pod::NAME);
    assert_ne!(handoff.facts.netns_cookie, 0);
    assert_eq!(File::from(ports).metadata().unwrap().len(), SHARED as u64);
}

fn handoff(layer: &Layer) -> Handoff {
    use std::os::unix::fs::FileExt;
    let memory = File::from(layer.handed[0].try_clone().unwrap());
    let mut bytes = vec![0; usize::try_from(memory.metadata().unwrap().len()).unwrap()];
    memory.read_exact_at(&mut bytes, 0).unwrap();
    memory.write_all_at(b"x", 0).unwrap_err();
    Handoff::decode(&bytes).unwrap()
}

#[test]
fn a_target_that_is_not_there_is_said_in_words() {
    let mut gone = guest();
    gone.kill().unwrap();
    gone.wait().unwrap();
    let pid = i32::try_from(gone.id()).unwrap();
    let mut alive = guest();
    let order = order(Place::Process(pid), DataPath::Passed, i32::try_from(alive.id()).ok());
    let report = run(&order);
    alive.kill().unwrap();
    alive.wait().unwrap();
    let Report::Failed(failure) = report else { panic!("{report:?}") };
    assert!(failure.what.contains(&pid.to_string()), "{failure:?}");
    assert!(!failure.causes.is_empty(), "{failure:?}");
}

#[test]
fn an_agent_that_cannot_be_run_is_said_in_words() {
    let mut alive = guest();
    let mut order = order(Place::Here, DataPath::Passed, i32::try_from(alive.id()).ok());
    order.agent = "/no/such/agent".into();
    let report = run(&order);
    alive.kill().unwrap();
    alive.wait().unwrap();
    let Report::Failed(failure) = report else { panic!("{report:?}") };
    assert!(failure.what.contains("/no/such/agent"), "{failure:?}");
}

#[test]
fn a_layer_that_does_not_say_hello_is_hung_up_on() {
    let stage = Stage::new(DataPath::Passed);
    let rude = Layer::connect(&stage.ready.address);
    assert!(rude.ask_with(&ToProxy::Map(GuestPath::from("/x")), None).is_none());
    stage.layer();
}

#[test]
fn malformed_packets_end_their_connection_and_no_other() {
    let stage = Stage::new(DataPath::Passed);
    let polite = stage.layer();
    let long = vec![0; 70_000];
    for bytes in [&b"\xff\xff\xff"[..], &long, &[1], &[6, 255, 255, 255, 255, 255, 255]] {
        let rude = stage.layer();
        // A packet that the proxy does not even take to its end has the same end.
        if rude.send(bytes, None).is_ok() {
            assert!(rude.receive().is_none());
        }
    }
    polite.stat("/etc/hostname").unwrap();
}

#[test]
fn a_layer_of_another_version_is_refused_in_words() {
    let stage = Stage::new(DataPath::Passed);
    let layer = Layer::connect(&stage.ready.address);
    let ToProxy::Hello(mut older) = hello() else { unreachable!() };
    older.version = Version { major: 77, minor: 0 };
    let (answer, _) = layer.ask_with(&ToProxy::Hello(older), None).unwrap();
    let FromProxy::Failed(fault) = answer else { panic!("{answer:?}") };
    assert!(fault.words.contains("77.0"), "{fault}");
    assert!(layer.receive().is_none());
}

#[test]
fn paths_are_mapped() {
    let stage = Stage::new(DataPath::Passed);
    let answer = stage.layer().ask(&ToProxy::Map(GuestPath::from("/mapped/orders.txt")));
    assert_eq!(answer, FromProxy::Path(GuestPath::from("/data/orders.txt")));
}

#[test]
fn names_are_asked_there() {
    let stage = Stage::new(DataPath::Passed);
    let layer = stage.layer();
    let resolve = |name: &str| {
        let call = DnsCall::Resolve { name: name.to_owned(), family: Family::V4 };
        match layer.ask(&ToProxy::Dns(call)) {
            FromProxy::Dns(answer) => answer,
            answer => panic!("{answer:?}"),
        }
    };
    let DnsAnswer::Addresses { addresses, .. } = resolve("only-in-hosts.pod") else { panic!() };
    assert_eq!(addresses, ["10.77.0.4".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(resolve("no-such-name.invalid"), DnsAnswer::None(NoAnswer::NotFound));
}

#[test]
fn layers_have_no_handles() {
    let stage = Stage::new(DataPath::Passed);
    let call = FsCall::StatFile(mirrord_protocol::id::RemoteFd(1));
    assert_eq!(stage.layer().fs(call).unwrap_err().errno, libc::EINVAL);
}
