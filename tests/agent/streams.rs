//! Connections that begin there: bytes, ends and errors arrive as what they are.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    thread,
};

use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, LaneKey, LaneOpen,
        outgoing::{ConnectCall, Connected, Datagram, DatagramCall, Destination, UnixCall, UnixName},
    },
    chunk::Chunk,
    fault::Fault,
};
use mirrord_tests::pod::{ADDRESS, ADDRESS_6, root::pattern, services::Checksum};
use serde_bytes::ByteBuf;

use crate::envoy::{Agent, Lane, Session, path};

fn tcp(ip: &str, port: u16) -> Destination {
    Destination::Tcp(SocketAddr::new(ip.parse().unwrap(), port))
}

fn connect(agent: &Agent, session: &Session, port: u16) -> Lane {
    let (lane, outcome) = agent.connect(session, tcp(ADDRESS, port));
    outcome.unwrap();
    lane
}

#[test]
fn bytes_go_there_and_come_back() {
    let agent = Agent::in_pod();
    let session = agent.session();
    for ip in [ADDRESS, ADDRESS_6, "127.0.0.1"] {
        let (mut lane, outcome) = agent.connect(&session, tcp(ip, 7));
        let local = outcome.unwrap().local.unwrap();
        assert_eq!(local.ip(), ip.parse::<std::net::IpAddr>().unwrap());
        lane.send(b"hello");
        assert_eq!(lane.read(5), b"hello");
        lane.send_chunk(Chunk::Finished);
        assert_eq!(lane.read_to_end(), (Vec::new(), Chunk::Finished));
    }
}

#[test]
fn bytes_may_follow_the_wish_at_once() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut lane = agent.lane();
    lane.say(&LaneOpen::Connect(session.key, ConnectCall { to: tcp(ADDRESS, 7) }));
    lane.send(b"early");
    lane.send_chunk(Chunk::Finished);
    lane.hear::<Result<Connected, Fault>>().unwrap();
    assert_eq!(lane.read_to_end(), (b"early".to_vec(), Chunk::Finished));
}

#[test]
fn an_end_of_one_side_leaves_the_other_open() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut lane = connect(&agent, &session, 7003);
    assert_eq!(lane.read(5), b"half\n");
    lane.send(b"0123456789");
    lane.send_chunk(Chunk::Finished);
    assert_eq!(lane.read_to_end(), (b"whole after 10\n".to_vec(), Chunk::Finished));
}

#[test]
fn a_peer_that_closes_at_once_is_an_end() {
    let agent = Agent::in_pod();
    let session = agent.session();
    assert_eq!(connect(&agent, &session, 7004).read_to_end(), (Vec::new(), Chunk::Finished));
}

#[test]
fn a_reset_of_the_peer_is_a_reset() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut lane = connect(&agent, &session, 7002);
    lane.send(b"x");
    assert_eq!(lane.read_to_end(), (Vec::new(), Chunk::Broken(libc::ECONNRESET)));
    assert!(lane.next_chunk().is_err(), "nothing follows");
}

#[test]
fn a_reset_that_comes_while_we_write_is_told_once() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut lane = connect(&agent, &session, 7002);
    let mut writer = lane.stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let piece = [&Chunk::Data(1 << 15).encode()[..], &vec![7; 1 << 15]].concat();
        // Until the lane is closed.
        while writer.write_all(&piece).is_ok() {}
    });
    let (bytes, end) = lane.read_to_end();
    assert_eq!(bytes, b"");
    assert!(matches!(end, Chunk::Broken(libc::ECONNRESET | libc::EPIPE)), "{end:?}");
    drop(lane);
    writing.join().unwrap();
}

#[test]
fn a_connection_that_fails_says_its_errno() {
    let agent = Agent::in_pod();
    let session = agent.session();
    for (to, errno) in [
        (tcp(ADDRESS, 1), libc::ECONNREFUSED),
        (tcp(ADDRESS_6, 1), libc::ECONNREFUSED),
        (tcp("192.0.2.1", 80), libc::ENETUNREACH),
        (Destination::Unix(UnixName::Path(path("/run/none.sock"))), libc::ENOENT),
        (Destination::Unix(UnixName::Path(path("/etc/hosts"))), libc::ECONNREFUSED),
        (Destination::Unix(UnixName::Abstract(ByteBuf::from("none"))), libc::ECONNREFUSED),
    ] {
        let (mut lane, outcome) = agent.connect(&session, to.clone());
        assert_eq!(outcome.unwrap_err().errno, errno, "{to:?}");
        assert_eq!(lane.stream.read(&mut [0]).unwrap(), 0, "the lane ends");
    }
}

#[test]
fn our_reset_is_the_peers() {
    let agent = Agent::in_pod();
    let session = agent.session();
    // A listener of our own there, made by a passed socket.
    let mut session = session;
    let listener = listen_there(&mut session);
    let port = listener.local_addr().unwrap().port();
    for is_told in [true, false] {
        let (mut lane, outcome) = agent.connect(&session, tcp(ADDRESS, port));
        outcome.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        lane.send(b"!");
        peer.read_exact(&mut [0]).unwrap();
        if is_told {
            lane.send_chunk(Chunk::Broken(libc::ECONNRESET));
        }
        // A lane that just ends has lost its proxy: nobody says that all was said.
        drop(lane);
        let error = peer.read(&mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET), "told: {is_told}");
    }
}

fn listen_there(session: &mut Session) -> std::net::TcpListener {
    use mirrord_protocol::agent::outgoing::SocketCall;
    use nix::sys::socket::{Backlog, SockaddrIn, bind, listen};
    use std::os::fd::AsRawFd;
    let call = SocketCall { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
    let socket = session.call(AgentCall::Socket(call)).unwrap().1.unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(10, 77, 0, 2, 0)).unwrap();
    listen(&socket, Backlog::new(16).unwrap()).unwrap();
    socket.into()
}

#[test]
fn a_reset_after_our_end_is_told_too() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let listener = listen_there(&mut session);
    let (mut lane, outcome) = agent.connect(&session, tcp(ADDRESS, listener.local_addr().unwrap().port()));
    outcome.unwrap();
    let (peer, _) = listener.accept().unwrap();
    lane.send(b"unread");
    // The bytes are there, so closing without having read them is a reset.
    peer.peek(&mut [0; 6]).unwrap();
    lane.send_chunk(Chunk::Finished);
    drop(peer);
    assert_eq!(lane.read_to_end(), (Vec::new(), Chunk::Broken(libc::ECONNRESET)));
}

#[test]
fn many_bytes_arrive_as_they_were_sent() {
    const N_BYTES: usize = 64 << 20;
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut sending = connect(&agent, &session, 9);
    let mut receiving = connect(&agent, &session, 19);
    let block = pattern(1 << 20);
    let sent = thread::spawn({
        let block = block.clone();
        move || {
            let mut sum = Checksum::default();
            let mut left = N_BYTES;
            // Chunks of every size, cut without regard to anything.
            for size in (1..=65536).rev().step_by(77).cycle() {
                if left == 0 {
                    break;
                }
                let piece = &block[..size.min(left)];
                sum.feed(piece);
                sending.send(piece);
                left -= piece.len();
            }
            sending.send_chunk(Chunk::Finished);
            let (told, end) = sending.read_to_end();
            assert_eq!(String::from_utf8(told).unwrap(), format!("{N_BYTES} {:016x}\n", sum.0));
            assert_eq!(end, Chunk::Finished);
        }
    });
    receiving.send(format!("{N_BYTES}\n").as_bytes());
    let mut n_read = 0;
    while n_read < N_BYTES {
        let (chunk, bytes) = receiving.next_chunk().unwrap();
        assert!(matches!(chunk, Chunk::Data(_)), "{chunk:?} after {n_read}");
        for (index, byte) in bytes.iter().enumerate() {
            assert!(*byte == block[(n_read + index) % block.len()], "byte {} differs", n_read + index);
        }
        n_read += bytes.len();
    }
    assert_eq!(receiving.read_to_end(), (Vec::new(), Chunk::Finished));
    sent.join().unwrap();
}

#[test]
fn a_lane_that_nobody_reads_delays_no_other() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut stalled = connect(&agent, &session, 19);
    stalled.send(b"100000000\n");
    stalled.read(1);
    let mut other = connect(&agent, &session, 7);
    other.send(b"still here");
    assert_eq!(other.read(10), b"still here");
}

#[test]
fn a_unix_stream_is_found_beneath_the_root() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let name = || UnixName::Path(path("/../run/./shop.sock"));
    let (mut lane, outcome) = agent.connect(&session, Destination::Unix(name()));
    assert_eq!(outcome.unwrap().local, None);
    assert_eq!(lane.read(21), b"the pod's own socket\n");
    lane.send(b"echo");
    assert_eq!(lane.read(4), b"echo");
    let call = AgentCall::UnixSocket(UnixCall { name: name(), kind: libc::SOCK_STREAM });
    let (answer, passed) = session.call(call).unwrap();
    assert_eq!(answer, AgentAnswer::Done);
    let mut stream = UnixStream::from(passed.unwrap());
    let mut greeting = [0; 21];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"the pod's own socket\n");
    let wrong = AgentCall::UnixSocket(UnixCall { name: name(), kind: libc::SOCK_SEQPACKET });
    assert_eq!(session.call(wrong).unwrap_err().errno, libc::EPROTOTYPE);
}

#[test]
fn a_passed_socket_connects_there_by_itself() {
    let agent = Agent::in_pod();
    let mut session = agent.session();
    let call = mirrord_protocol::agent::outgoing::SocketCall {
        domain: libc::AF_INET,
        kind: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
    };
    let socket: OwnedFd = session.call(AgentCall::Socket(call)).unwrap().1.unwrap();
    let to = nix::sys::socket::SockaddrIn::new(10, 77, 0, 2, 7001);
    nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &to).unwrap();
    let mut said = String::new();
    std::net::TcpStream::from(socket).read_to_string(&mut said).unwrap();
    assert_eq!(said, "you are 10.77.0.2, I am 10.77.0.2:7001\n");
}

#[test]
fn a_lane_without_the_sessions_key_gets_nothing() {
    let agent = Agent::in_pod();
    let _session = agent.session();
    let mut lane = agent.lane();
    lane.say(&LaneOpen::Connect(LaneKey([0; 16]), ConnectCall { to: tcp(ADDRESS, 7) }));
    assert_eq!(lane.hear::<Result<Connected, Fault>>().unwrap_err().errno, libc::EACCES);
}

fn datagrams(agent: &Agent, session: &Session, bind: &str) -> (Lane, SocketAddr) {
    let mut lane = agent.lane();
    lane.say(&LaneOpen::Datagrams(session.key, DatagramCall { bind: bind.parse().unwrap() }));
    let connected: Result<Connected, Fault> = lane.hear();
    (lane, connected.unwrap().local.unwrap())
}

#[test]
fn datagrams_go_to_many_and_keep_their_bounds() {
    let agent = Agent::in_pod();
    let session = agent.session();
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let (mut lane, local) = datagrams(&agent, &session, bind);
        assert_ne!(local.port(), 0);
        let echo: SocketAddr = format!("{ADDRESS}:7").parse().unwrap();
        for bytes in [b"one".to_vec(), Vec::new(), vec![5; 60_000]] {
            let said = Datagram::Data(echo, ByteBuf::from(bytes));
            lane.say(&said);
            assert_eq!(lane.hear::<Datagram>(), said);
        }
        let who: SocketAddr = format!("{ADDRESS}:7001").parse().unwrap();
        lane.say(&Datagram::Data(who, ByteBuf::from("?")));
        let expected = format!("you are {ADDRESS}\n").into_bytes();
        assert_eq!(lane.hear::<Datagram>(), Datagram::Data(who, ByteBuf::from(expected)));
        // Another port answers: a socket without a peer hears that, too.
        let other: SocketAddr = format!("{ADDRESS}:7002").parse().unwrap();
        lane.say(&Datagram::Data(other, ByteBuf::from("who?")));
        match lane.hear() {
            Datagram::Data(from, bytes) => {
                assert_eq!((from.ip(), bytes.as_slice()), (other.ip(), &b"who?"[..]));
                assert_ne!(from.port(), 7002);
            }
            failed @ Datagram::Failed(..) => panic!("{failed:?}"),
        }
    }
}

#[test]
fn what_the_network_says_against_a_datagram_is_told_for_its_peer() {
    let agent = Agent::in_pod();
    let session = agent.session();
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let (mut lane, _) = datagrams(&agent, &session, bind);
        let nobody: SocketAddr = format!("{ADDRESS}:1").parse().unwrap();
        lane.say(&Datagram::Data(nobody, ByteBuf::from("hello?")));
        assert_eq!(lane.hear::<Datagram>(), Datagram::Failed(nobody, libc::ECONNREFUSED), "{bind}");
        let nowhere: SocketAddr = "192.0.2.1:9".parse().unwrap();
        lane.say(&Datagram::Data(nowhere, ByteBuf::from("hello?")));
        assert_eq!(lane.hear::<Datagram>(), Datagram::Failed(nowhere, libc::ENETUNREACH), "{bind}");
        let echo: SocketAddr = format!("{ADDRESS}:7").parse().unwrap();
        lane.say(&Datagram::Data(echo, ByteBuf::from(vec![0; 65_600])));
        assert_eq!(lane.hear::<Datagram>(), Datagram::Failed(echo, libc::EMSGSIZE), "{bind}");
        let said = Datagram::Data(echo, ByteBuf::from("still"));
        lane.say(&said);
        assert_eq!(lane.hear::<Datagram>(), said, "{bind}");
    }
}

#[test]
fn an_address_that_is_taken_cannot_be_bound() {
    let agent = Agent::in_pod();
    let session = agent.session();
    let mut lane = agent.lane();
    let bind = format!("{ADDRESS}:7").parse().unwrap();
    lane.say(&LaneOpen::Datagrams(session.key, DatagramCall { bind }));
    assert_eq!(lane.hear::<Result<Connected, Fault>>().unwrap_err().errno, libc::EADDRINUSE);
}
