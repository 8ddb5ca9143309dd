//! Listeners, and who connects to them.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::Mutex,
};

use mirrord_core::addr;
use mirrord_protocol::{
    agent::incoming::Wish,
    fault::Fault,
    proxy::{
        FromProxy, ToProxy,
        lineage::Note,
        sockets::{SocketAnswer, SocketQuestion},
    },
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket as make};

use super::{calls, handoff, shrug, socket};
use crate::scripted_proxy::{Answer, ScriptedProxy};

/// Rings at a listener as the proxy does.
fn ring(at: SocketAddr) -> OwnedFd {
    use std::os::fd::AsRawFd;
    let bell = make(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let from = SocketAddr::new(addr::doorbell(1).into(), 0);
    bind(bell.as_raw_fd(), &SockaddrStorage::from(from)).unwrap();
    connect(bell.as_raw_fd(), &SockaddrStorage::from(at)).unwrap();
    bell
}

fn peer() -> SocketAddr {
    "10.9.8.7:4321".parse().unwrap()
}

/// A proxy that rings as soon as its guest listens.
fn ringing(n_failures: usize, arrived: impl Fn() -> Answer + Send + Sync + 'static) -> ScriptedProxy {
    let bells: Mutex<Vec<OwnedFd>> = Mutex::default();
    let left = Mutex::new(n_failures);
    let settings = handoff(|rules, _| rules.incoming.wish = Some(Wish::Steal));
    ScriptedProxy::start(&settings, move |question, _| match question {
        ToProxy::Socket(SocketQuestion::Listen { bound, .. }) => {
            for _ in 0..=n_failures {
                bells.lock().unwrap().push(ring(*bound));
            }
            socket(SocketAnswer::Listening { subscribed: true })
        }
        ToProxy::Socket(SocketQuestion::Accepted { from, .. }) => {
            assert!(addr::is_doorbell(from.ip()), "{from}");
            let mut left = left.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return FromProxy::Failed(Fault::os(libc::ECONNABORTED)).into();
            }
            arrived()
        }
        ToProxy::Socket(SocketQuestion::Addresses(_)) => {
            socket(SocketAnswer::Addresses { local: "10.0.0.1:80".parse().unwrap(), peer: peer() })
        }
        question => shrug(question),
    })
}

fn heard() -> Answer {
    let local = "10.0.0.1:80".parse().unwrap();
    socket(SocketAnswer::Arrived { peer: peer(), local, descriptor: false })
}

#[test]
fn whoever_was_announced_is_told_as_the_peer() {
    assert_eq!(
        calls(&ringing(0, heard), "tcp bind 127.0.0.1 0 listen accept peer"),
        "0\n0\n0\n10.9.8.7:4321\n10.9.8.7:4321"
    );
}

#[test]
fn who_hung_up_before_being_accepted_was_never_there() {
    assert_eq!(calls(&ringing(2, heard), "tcp bind 127.0.0.1 0 listen accept"), "0\n0\n0\n10.9.8.7:4321");
}

/// A guest that waits until there is somebody, and then accepts, must not wait again for the next one.
#[test]
fn who_hung_up_and_was_the_only_one_has_ended() {
    let hung_up = || FromProxy::Failed(Fault::os(libc::ECONNABORTED)).into();
    let said = calls(&ringing(0, hung_up), "tcp bind 127.0.0.1 0 listen accept read");
    // What it is given has nothing to read.
    assert!(said.starts_with("0\n0\n0\n127.77.") && said.lines().count() == 4, "{said}");
}

#[test]
fn a_stolen_connection_takes_the_place_of_the_one_that_rang() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let from = client.local_addr().unwrap();
    std::io::Write::write_all(&mut client, b"to the target").unwrap();
    let stolen = Mutex::new(Some(OwnedFd::from(listener.accept().unwrap().0)));
    let proxy = ringing(0, move || Answer {
        words: FromProxy::Socket(SocketAnswer::Arrived { peer: from, local: from, descriptor: true }),
        objects: stolen.lock().unwrap().take().into_iter().collect(),
        instead: None,
    });
    assert_eq!(
        calls(&proxy, "tcp nodelay bind 127.0.0.1 0 listen accept read is-nodelay"),
        format!("0\n0\n0\n0\n{from}\nto the target\n1")
    );
}

#[test]
fn a_neighbour_is_who_he_is() {
    let settings = handoff(|rules, _| rules.incoming.wish = Some(Wish::Steal));
    let kept: Mutex<Vec<TcpStream>> = Mutex::default();
    let proxy = ScriptedProxy::start(&settings, move |question, _| {
        if let ToProxy::Socket(SocketQuestion::Listen { bound, .. }) = question {
            kept.lock().unwrap().push(TcpStream::connect(bound).unwrap());
        }
        shrug(question)
    });
    let told = calls(&proxy, "tcp bind 127.0.0.1 0 listen accept");
    assert!(told.starts_with("0\n0\n0\n127.0.0.1:"), "{told}");
    let asked = proxy.questions();
    assert!(
        !asked.iter().any(|question| matches!(question, ToProxy::Socket(SocketQuestion::Accepted { .. }))),
        "{asked:?}"
    );
}

#[test]
fn a_port_that_is_taken_here_is_replaced_and_the_developer_is_told() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let requested: SocketAddr = ([0; 4], port).into();
    let settings = handoff(|rules, _| rules.incoming.wish = Some(Wish::Steal));
    let proxy = ScriptedProxy::start(&settings, move |question, _| match question {
        ToProxy::Socket(SocketQuestion::Addresses(_)) => {
            socket(SocketAnswer::Addresses { local: requested, peer: requested })
        }
        question => shrug(question),
    });
    let told = calls(&proxy, &format!("tcp bind 0.0.0.0 {port} name listen"));
    assert_eq!(told, format!("0\n0\n0.0.0.0:{port}\n0"));
    let asked = proxy.questions();
    let is_told = |question: &ToProxy| match question {
        ToProxy::Note(Note::Warning(text)) => text.contains(&format!("`0.0.0.0:{port}`")),
        _ => false,
    };
    assert!(asked.iter().any(is_told), "{asked:?}");
    let is_bound = |question: &ToProxy| match question {
        ToProxy::Socket(SocketQuestion::Bound { requested: told, bound, .. }) => {
            *told == requested && bound.port() != port
        }
        _ => false,
    };
    assert!(asked.iter().any(is_bound), "{asked:?}");
}

#[test]
fn without_a_wish_a_taken_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let proxy = ScriptedProxy::start(&handoff(|_, _| {}), |question, _| shrug(question));
    assert_eq!(calls(&proxy, &format!("tcp bind 127.0.0.1 {port}")), "0\nEADDRINUSE");
}
