//! Sockets that reach from here into the pod.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread,
    time::Duration,
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    agent::outgoing::UnixName,
    fault::Fault,
    id::SocketInode,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};
use mirrord_tests::pod::{root::pattern, services::Checksum};
use nix::sys::socket::{SockaddrIn, connect, getsockopt, setsockopt, sockopt};

use crate::{
    layer::{Layer, inode},
    stage::Stage,
};

const POD: [u8; 4] = [10, 77, 0, 2];

/// A connected stream, by either data path, as the layer makes one.
fn reach(stage: &Stage, layer: &Layer, data_path: DataPath, port: u16) -> Result<TcpStream, Fault> {
    match data_path {
        DataPath::Passed => {
            let make = SocketQuestion::Make { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
            let socket = layer.socket(make)?.1.unwrap();
            let to = SockaddrIn::new(POD[0], POD[1], POD[2], POD[3], port);
            connect(socket.as_raw_fd(), &to).map_err(|errno| Fault::os(errno as i32))?;
            Ok(TcpStream::from(socket))
        }
        DataPath::Proxied => {
            let stream = TcpStream::connect(relay(layer)).unwrap();
            let question = question(&stream, (POD, port).into(), 0, true);
            layer.socket(question).inspect(|(answer, _)| assert_eq!(*answer, SocketAnswer::Connected))?;
            let _ = stage;
            Ok(stream)
        }
    }
}

fn relay(layer: &Layer) -> SocketAddr {
    match layer.socket(SocketQuestion::StreamRelay).unwrap() {
        (SocketAnswer::Relay(relay), _) => relay,
        (answer, _) => panic!("{answer:?}"),
    }
}

fn question(stream: &TcpStream, to: SocketAddr, n_plugged: u32, wait: bool) -> SocketQuestion {
    let from = stream.local_addr().unwrap();
    SocketQuestion::Connect { inode: inode(stream), from, to, n_plugged, send_buffer: None, wait }
}

fn both(story: impl Fn(&dyn Fn(u16) -> Result<TcpStream, Fault>)) {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let stage = Stage::new(data_path);
        let layer = stage.layer();
        story(&|port| reach(&stage, &layer, data_path, port));
    }
}

#[test]
fn a_passed_socket_stands_in_the_pod() {
    let stage = Stage::new(DataPath::Passed);
    let mut words = String::new();
    let mut stream = reach(&stage, &stage.layer(), DataPath::Passed, 7001).unwrap();
    stream.read_to_string(&mut words).unwrap();
    assert_eq!(words, "you are 10.77.0.2, I am 10.77.0.2:7001\n");
}

#[test]
fn gigabytes_arrive_as_they_were_sent() {
    const TOTAL: usize = 256 << 20;
    both(|reach| {
        let mut stream = reach(9).unwrap();
        let block = pattern(1 << 20);
        let mut sum = Checksum::default();
        for index in 0..TOTAL / block.len() {
            // Odd sizes, so that no boundary meets another.
            let cut = 1 + index * 7919 % (block.len() - 1);
            for piece in [&block[..cut], &block[cut..]] {
                stream.write_all(piece).unwrap();
                sum.feed(piece);
            }
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut words = String::new();
        stream.read_to_string(&mut words).unwrap();
        assert_eq!(words, format!("{TOTAL} {:016x}\n", sum.0));
    });
}

#[test]
fn a_download_with_a_slow_reader_is_whole() {
    const TOTAL: usize = 48 << 20;
    both(|reach| {
        let mut stream = reach(19).unwrap();
        stream.write_all(format!("{TOTAL}\n").as_bytes()).unwrap();
        let expected = pattern(1 << 20).repeat(TOTAL >> 20);
        let mut bytes = Vec::with_capacity(TOTAL);
        let mut piece = vec![0; 300_001];
        while bytes.len() < TOTAL {
            if bytes.len() % 7 == 0 {
                thread::yield_now();
            }
            let n_read = stream.read(&mut piece).unwrap();
            assert_ne!(n_read, 0, "after {}", bytes.len());
            bytes.extend_from_slice(&piece[..n_read]);
        }
        assert!(bytes == expected);
    });
}

#[test]
fn half_a_connection_goes_on() {
    both(|reach| {
        let mut stream = reach(7003).unwrap();
        let mut half = [0; 5];
        stream.read_exact(&mut half).unwrap();
        assert_eq!(&half, b"half\n");
        stream.write_all(b"seven..").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "whole after 7\n");
    });
}

#[test]
fn a_reset_is_a_reset() {
    both(|reach| {
        let mut stream = reach(7002).unwrap();
        stream.write_all(b"x").unwrap();
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
    });
}

#[test]
fn a_refusal_is_a_refusal_and_an_unreachable_network_is_unreachable() {
    both(|reach| assert_eq!(reach(4).unwrap_err().errno, libc::ECONNREFUSED));
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let stream = TcpStream::connect(relay(&layer)).unwrap();
    let fault = layer.socket(question(&stream, "203.0.113.1:80".parse().unwrap(), 0, true)).unwrap_err();
    assert_eq!(fault.errno, libc::ENETUNREACH);
}

#[test]
fn a_relayed_socket_is_told_where_it_stands() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let stream = reach(&stage, &layer, DataPath::Proxied, 7).unwrap();
    let (answer, _) = layer.socket(SocketQuestion::Addresses(inode(&stream))).unwrap();
    let SocketAnswer::Addresses { local, peer } = answer else { panic!("{answer:?}") };
    assert_eq!(peer, (POD, 7).into());
    assert_eq!(local.ip(), std::net::IpAddr::from(POD));
    let unknown = SocketQuestion::Addresses(SocketInode(u64::MAX));
    assert_eq!(layer.socket(unknown).unwrap().0, SocketAnswer::Unknown);
}

/// A plugged connect: the socket does not wait, and is stuffed until the kernel takes no more.
fn plugged(layer: &Layer, to: SocketAddr) -> TcpStream {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_NONBLOCK,
        None,
    )
    .unwrap();
    setsockopt(&socket, sockopt::SndBuf, &1).unwrap();
    let SocketAddr::V4(relay) = relay(layer) else { panic!() };
    // Loopback has answered before this call returns, whatever it says.
    let _ = connect(socket.as_raw_fd(), &SockaddrIn::from(relay));
    let mut stream = TcpStream::from(socket);
    let mut n_plugged = 0;
    while let Ok(n_sent) = stream.write(&[0; 16 << 10]) {
        n_plugged += u32::try_from(n_sent).unwrap();
    }
    assert!(n_plugged > 0);
    let question = question(&stream, to, n_plugged, false);
    let answer = layer.socket_with(question, Some(stream.as_raw_fd())).unwrap().0;
    assert_eq!(answer, SocketAnswer::Done);
    stream
}

fn events(stream: &TcpStream, patience: Duration) -> i16 {
    let mut poll = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLOUT | libc::POLLIN, revents: 0 };
    let milliseconds = i32::try_from(patience.as_millis()).unwrap();
    // SAFETY: one structure of that kind.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    poll.revents
}

#[test]
fn a_plugged_socket_is_writable_when_the_far_side_has_answered_and_not_before() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let hanging = plugged(&layer, (POD, 7005).into());
    assert_eq!(events(&hanging, Duration::from_millis(300)), 0);
    let mut stream = plugged(&layer, (POD, 7).into());
    assert_eq!(events(&stream, Duration::from_secs(10)), libc::POLLOUT);
    let outcome = layer.socket(SocketQuestion::Outcome(inode(&stream))).unwrap().0;
    assert_eq!(outcome, SocketAnswer::Connected);
    assert!(getsockopt(&stream, sockopt::SndBuf).unwrap() > 100_000);
    stream.set_nonblocking(false).unwrap();
    let sent = pattern(1 << 20);
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&pattern(1 << 20)).unwrap());
    let mut echoed = vec![0; sent.len()];
    stream.read_exact(&mut echoed).unwrap();
    writing.join().unwrap();
    assert!(echoed == sent);
}

#[test]
fn a_plugged_socket_that_is_refused_knows_why() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let stream = plugged(&layer, (POD, 4).into());
    let events = events(&stream, Duration::from_secs(10));
    assert_ne!(events & (libc::POLLERR | libc::POLLHUP), 0);
    let fault = layer.socket(SocketQuestion::Outcome(inode(&stream))).unwrap_err();
    assert_eq!(fault.errno, libc::ECONNREFUSED);
}

#[test]
fn a_stalled_reader_delays_nobody() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let mut stalled = reach(&stage, &layer, DataPath::Proxied, 19).unwrap();
    stalled.write_all(b"100000000\n").unwrap();
    let mut echo = reach(&stage, &layer, DataPath::Proxied, 7).unwrap();
    for byte in 0..100 {
        echo.write_all(&[byte]).unwrap();
        let mut back = [0];
        echo.read_exact(&mut back).unwrap();
        assert_eq!(back, [byte]);
    }
    layer.stat("/etc/hostname").unwrap();
}

#[test]
fn the_targets_unix_sockets_are_reached() {
    for data_path in [DataPath::Passed, DataPath::Proxied] {
        let stage = Stage::new(data_path);
        let layer = stage.layer();
        let open = |path: &str| {
            let name = UnixName::Path(path.into());
            layer.socket(SocketQuestion::Unix { name, kind: libc::SOCK_STREAM })
        };
        let (answer, socket) = open("/run/shop.sock").unwrap();
        assert_eq!(answer, SocketAnswer::Made);
        let socket: OwnedFd = socket.unwrap();
        let mut stream = UnixStream::from(socket);
        stream.set_nonblocking(false).unwrap();
        stream.write_all(b"hello\n").unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(open("/run/no.sock").unwrap_err().errno, libc::ENOENT);
    }
}

#[test]
fn datagrams_go_through_a_relay_for_each_destination() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let relay = |port: u16| {
        let (inode, from) = (inode(&socket), socket.local_addr().unwrap());
        let question = SocketQuestion::DatagramRelay { inode, from, to: (POD, port).into() };
        match layer.socket(question).unwrap() {
            (SocketAnswer::Relay(relay), _) => relay,
            (answer, _) => panic!("{answer:?}"),
        }
    };
    let mut buffer = vec![0; 70_000];
    let (echo, who) = (relay(7), relay(7001));
    assert_ne!(echo, who);
    assert_eq!(relay(7), echo);
    for size in [0, 1, 1400, 60_000] {
        socket.send_to(&pattern(size), echo).unwrap();
        let (n_received, from) = socket.recv_from(&mut buffer).unwrap();
        assert!(buffer[..n_received] == pattern(size) && from == echo, "{size}");
    }
    socket.send_to(b"who", who).unwrap();
    let (n_received, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..n_received], from), (&b"you are 10.77.0.2\n"[..], who));
    // An answer from another port has a relay of its own.
    socket.send_to(b"other", relay(7002)).unwrap();
    let (n_received, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..n_received], b"other");
    let (source, _) = layer.socket(SocketQuestion::DatagramSource { inode: inode(&socket), from }).unwrap();
    let SocketAnswer::Addresses { peer, .. } = source else { panic!("{source:?}") };
    assert_eq!(peer.ip(), std::net::IpAddr::from(POD));
    assert_ne!(peer.port(), 7002);
}

/// As by the kernel there: whoever sends where no way leads is told so by the call.
#[test]
fn a_datagram_to_an_unreachable_network_fails_at_once() {
    let stage = Stage::new(DataPath::Proxied);
    let layer = stage.layer();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |to: &str| {
        let (inode, from) = (inode(&socket), socket.local_addr().unwrap());
        layer.socket(SocketQuestion::DatagramRelay { inode, from, to: to.parse().unwrap() })
    };
    for to in ["203.0.113.1:9", "[2001:db8::1]:9"] {
        assert_eq!(ask(to).unwrap_err().errno, libc::ENETUNREACH, "{to}");
    }
    // Nor does that keep it from being sent where one leads.
    assert!(matches!(ask("10.77.0.2:7").unwrap().0, SocketAnswer::Relay(_)));
    assert_eq!(ask("203.0.113.1:9").unwrap_err().errno, libc::ENETUNREACH);
}
