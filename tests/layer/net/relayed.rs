//! Sockets of the guest's own that the proxy relays.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex},
};

use mirrord_protocol::{
    fault::Fault,
    proxy::{
        FromProxy, ToProxy,
        sockets::{SocketAnswer, SocketQuestion},
    },
};

use super::{calls, handoff, shrug, socket};
use crate::scripted_proxy::ScriptedProxy;

/// A relay whose far side greets, or refuses.
fn relay(refusal: Option<i32>) -> ScriptedProxy {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let kept: Mutex<Vec<(TcpStream, Option<OwnedFd>)>> = Mutex::default();
    ScriptedProxy::start(&handoff(|_, _| {}), move |question, object| match question {
        ToProxy::Socket(SocketQuestion::StreamRelay) => socket(SocketAnswer::Relay(address)),
        ToProxy::Socket(SocketQuestion::Connect { n_plugged, wait, .. }) => {
            let (stream, _) = listener.accept().unwrap();
            assert_eq!(*n_plugged > 0, !*wait, "only a connect that does not wait is plugged");
            assert_eq!(object.is_some(), !*wait);
            if let Some(errno) = refusal {
                reset(stream);
                return if *wait {
                    FromProxy::Failed(Fault::os(errno)).into()
                } else {
                    socket(SocketAnswer::Done)
                };
            }
            unplug(&stream, object.as_ref(), *n_plugged);
            (&stream).write_all(b"from there").unwrap();
            kept.lock().unwrap().push((stream, object));
            socket(if *wait { SocketAnswer::Connected } else { SocketAnswer::Done })
        }
        ToProxy::Socket(SocketQuestion::Outcome(_)) => match refusal {
            Some(errno) => FromProxy::Failed(Fault::os(errno)).into(),
            None => socket(SocketAnswer::Connected),
        },
        ToProxy::Socket(SocketQuestion::Addresses(_)) => {
            socket(SocketAnswer::Addresses { local: far("10.0.0.1:4000"), peer: far("10.0.0.2:80") })
        }
        question => shrug(question),
    })
}

fn far(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn reset(stream: TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    drop(stream);
}

/// Gives the guest's socket its buffer back, and takes out what it was stuffed with.
fn unplug(mut stream: &TcpStream, guest: Option<&OwnedFd>, n_plugged: u32) {
    if let Some(guest) = guest {
        let room: libc::c_int = 200_000;
        let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap();
        // SAFETY: the value is ours, and only read.
        let status = unsafe {
            libc::setsockopt(
                guest.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_SNDBUF,
                (&raw const room).cast(),
                size,
            )
        };
        assert_eq!(status, 0);
    }
    let mut plug = vec![0; usize::try_from(n_plugged).unwrap()];
    stream.read_exact(&mut plug).unwrap();
}

#[test]
fn a_connect_that_waits_ends_when_the_far_side_answers() {
    assert_eq!(
        calls(&relay(None), "tcp connect 10.0.0.2 80 read name peer"),
        "0\n0\nfrom there\n10.0.0.1:4000\n10.0.0.2:80"
    );
    assert_eq!(calls(&relay(Some(libc::EHOSTUNREACH)), "tcp connect 10.0.0.2 80"), "0\nEHOSTUNREACH");
}

#[test]
fn a_connect_that_does_not_wait_is_in_progress_until_the_far_side_answers() {
    assert_eq!(
        calls(
            &relay(None),
            "nonblocking connect 10.0.0.2 80 poll error connect 10.0.0.2 80 connect 10.0.0.2 80"
        ),
        "0\nEINPROGRESS\n1 writable\n0\n0\nEISCONN"
    );
    assert_eq!(
        calls(&relay(Some(libc::ETIMEDOUT)), "nonblocking connect 10.0.0.2 80 poll error error"),
        "0\nEINPROGRESS\n1 failed\nETIMEDOUT\n0"
    );
    assert_eq!(
        calls(&relay(Some(libc::ECONNREFUSED)), "nonblocking connect 10.0.0.2 80 poll connect 10.0.0.2 80"),
        "0\nEINPROGRESS\n1 failed\nECONNREFUSED"
    );
}

#[test]
fn a_relayed_socket_is_known_after_a_fork() {
    assert_eq!(calls(&relay(None), "tcp connect 10.0.0.2 80 fork peer"), "0\n0\n10.0.0.2:80");
}

#[test]
fn datagrams_come_from_whom_they_were_sent_to() {
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = echo.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((_, peer)) = echo.recv_from(&mut bytes) {
            let _ = echo.send_to(b"from there", peer);
        }
    });
    let proxy = ScriptedProxy::start(&handoff(|_, _| {}), move |question, _| match question {
        ToProxy::Socket(SocketQuestion::DatagramRelay { to, .. }) => {
            assert_eq!(*to, far("10.0.0.2:53"));
            socket(SocketAnswer::Relay(address))
        }
        ToProxy::Socket(SocketQuestion::DatagramSource { from, .. }) if *from == address => {
            socket(SocketAnswer::Addresses { local: far("10.0.0.1:4000"), peer: far("10.0.0.2:53") })
        }
        question => shrug(question),
    });
    assert_eq!(calls(&proxy, "udp sendto 10.0.0.2 53 recvfrom"), "0\n2\nfrom there from 10.0.0.2:53");
    assert_eq!(calls(&proxy, "udp connect 10.0.0.2 53 peer"), "0\n0\n10.0.0.2:53");
}

#[test]
fn what_the_user_keeps_here_is_not_relayed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy =
        ScriptedProxy::start(&handoff(|rules, _| rules.outgoing.ignore_localhost = true), |question, _| {
            shrug(question)
        });
    assert_eq!(calls(&proxy, &format!("tcp connect 127.0.0.1 {port}")), "0\n0");
    assert!(proxy.questions().is_empty(), "{:?}", proxy.questions());
}
