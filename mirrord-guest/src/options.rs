//! Options of sockets: what a guest has set on one is set on the one that takes its place.

use libc::{
    IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_BROADCAST, SO_DONTROUTE, SO_KEEPALIVE,
    SO_LINGER, SO_MARK, SO_OOBINLINE, SO_PRIORITY, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT,
    SO_RXQ_OVFL, SO_SNDTIMEO, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_ZEROCOPY, SOL_SOCKET, TCP_CONGESTION,
    TCP_CORK, TCP_DEFER_ACCEPT, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL,
    TCP_LINGER2, TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_SYNCNT, TCP_USER_TIMEOUT, c_int,
};
use mirrord_core::rules::address::Protocol;

use crate::socket::Socket;

/// Which of a socket's buffers its guest has sized itself (`SO_BUF_LOCK`, Linux 5.15): 1 of sending, 2 of receiving.
const SO_BUF_LOCK: c_int = 72;

const ANY: &[c_int] = &[
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_KEEPALIVE,
    SO_BROADCAST,
    SO_LINGER,
    SO_OOBINLINE,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SO_PRIORITY,
    SO_TIMESTAMP,
    SO_TIMESTAMPNS,
    SO_RXQ_OVFL,
    SO_MARK,
    SO_RCVLOWAT,
    SO_DONTROUTE,
    SO_ZEROCOPY,
];

const TCP: &[c_int] = &[
    TCP_NODELAY,
    TCP_CORK,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_KEEPCNT,
    TCP_SYNCNT,
    TCP_LINGER2,
    TCP_DEFER_ACCEPT,
    TCP_CONGESTION,
    TCP_USER_TIMEOUT,
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
    TCP_NOTSENT_LOWAT,
];

const IP: &[c_int] = &[
    libc::IP_TOS,
    libc::IP_TTL,
    libc::IP_MTU_DISCOVER,
    libc::IP_RECVERR,
    libc::IP_PKTINFO,
    libc::IP_RECVTTL,
    libc::IP_RECVTOS,
    libc::IP_FREEBIND,
    libc::IP_MULTICAST_TTL,
    libc::IP_MULTICAST_LOOP,
    libc::IP_BIND_ADDRESS_NO_PORT,
];

const IPV6: &[c_int] = &[
    IPV6_V6ONLY,
    IPV6_UNICAST_HOPS,
    IPV6_RECVPKTINFO,
    IPV6_TCLASS,
    IPV6_RECVTCLASS,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_LOOP,
    libc::IPV6_RECVERR,
    libc::IPV6_MTU_DISCOVER,
    libc::IPV6_RECVHOPLIMIT,
];

/// The send buffer, as `setsockopt(2)` takes it, if the guest has sized it itself.
pub fn send_buffer(socket: Socket) -> Option<c_int> {
    buffer(socket, libc::SO_SNDBUF, 1)
}

/// Sets on `to` what differs from it on `from`. What cannot be set is left.
pub fn carry(from: Socket, to: Socket, domain: c_int, protocol: Protocol) {
    for (name, lock) in [(libc::SO_SNDBUF, 1), (libc::SO_RCVBUF, 2)] {
        if let Some(size) = buffer(from, name, lock) {
            let _ = to.set_number(SOL_SOCKET, name, size);
        }
    }
    let level = |level, names: &[c_int]| names.iter().for_each(|name| carry_one(from, to, level, *name));
    level(SOL_SOCKET, ANY);
    if protocol == Protocol::Tcp {
        level(IPPROTO_TCP, TCP);
    }
    level(IPPROTO_IP, IP);
    if domain == libc::AF_INET6 {
        level(IPPROTO_IPV6, IPV6);
    }
}

fn carry_one(from: Socket, to: Socket, level: c_int, name: c_int) {
    let (Ok(old), Ok(new)) = (from.option(level, name), to.option(level, name)) else { return };
    if old.bytes() != new.bytes() {
        let _ = to.set(level, name, old.bytes());
    }
}

fn buffer(socket: Socket, name: c_int, lock: c_int) -> Option<c_int> {
    let locks = socket.number(SOL_SOCKET, SO_BUF_LOCK).ok()?;
    // The kernel doubles what it is given, and tells the double.
    (locks & lock != 0).then(|| socket.number(SOL_SOCKET, name).ok()).flatten().map(|size| size / 2)
}
