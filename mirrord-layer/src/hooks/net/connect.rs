//! `connect(2)`: by a socket that lives where the destination is reached.

use std::{net::SocketAddr, os::fd::AsRawFd};

use libc::{c_int, sockaddr, socklen_t};
use mirrord_core::{
    rules::address::{Protocol, Side},
    verdict::{Errno, Verdict},
};
use mirrord_protocol::{
    GuestPath,
    agent::outgoing::UnixName,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};

use super::{ask, lives_there, relay, side_of, swap};
use crate::{
    abi::{sockaddr::Address, socket::Socket},
    answer::{self, Outcome},
    engine,
    process::Process,
};

pub(crate) unsafe fn connect(
    process: &Process,
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    let socket = Socket(fd);
    // SAFETY: the guest's address, under the contract of `connect(2)`.
    let taken = match unsafe { Address::read(address, length) } {
        Address::Inet(to) => connect_inet(process, socket, to),
        Address::Unix(name) => connect_unix(process, socket, name),
        Address::Other => None,
    };
    taken.map(answer::status)
}

fn connect_inet(process: &Process, socket: Socket, to: SocketAddr) -> Option<Outcome<()>> {
    if !process.passes_sockets() && !process.relays_sockets() {
        return None;
    }
    let protocol = socket.transport()?;
    let side = match side_of(process, protocol, to) {
        Ok(side) => side,
        Err(errno) => return Some(Err(errno)),
    };
    if process.relays_sockets() {
        return (side == Side::There).then(|| relay::connect(socket, protocol, to));
    }
    settle_side(process, socket, protocol, side).err().map(Err)
}

/// Makes a socket live on the side where its destination is reached.
pub(super) fn settle_side(process: &Process, socket: Socket, protocol: Protocol, side: Side) -> Outcome<()> {
    let is_there = lives_there(process, socket);
    if is_there == (side == Side::There) { Ok(()) } else { swap::to_side(socket, protocol, side) }
}

/// A unix socket of the target: there is no namespace of sockets to make it in, so it comes connected.
fn connect_unix(process: &Process, socket: Socket, name: &[u8]) -> Option<Outcome<()>> {
    let kind = socket.kind().ok()?;
    if !process.facts.has_target || !matches!(kind, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) {
        return None;
    }
    engine::work(|| {
        let name = unix_name(name)?;
        let shown = match &name {
            UnixName::Path(path) => path.0.clone(),
            UnixName::Abstract(name) => [b"@", name.as_slice()].concat(),
        };
        match process.rules.outgoing.decide_unix(&shown) {
            Verdict::Leave(_) => None,
            Verdict::Refuse(errno) => Some(Err(errno)),
            Verdict::Take(()) => Some(take_unix(socket, name, kind)),
        }
    })
}

fn take_unix(socket: Socket, name: UnixName, kind: c_int) -> Outcome<()> {
    if socket.peer() != Err(Errno(libc::ENOTCONN)) {
        return Err(Errno(libc::EISCONN));
    }
    let (SocketAnswer::Made, Some(fresh)) = ask(SocketQuestion::Unix { name, kind })? else {
        return Err(Errno(libc::ENETDOWN));
    };
    swap::carry_flags(socket, Socket(fresh.as_raw_fd()))?;
    swap::install(socket, &fresh)
}

/// `unix(7)`: a path, cut at its NUL, or a name behind one. A relative path means the guest's own directory.
fn unix_name(name: &[u8]) -> Option<UnixName> {
    if let Some(name) = name.strip_prefix(b"\0") {
        return (!name.is_empty()).then(|| UnixName::Abstract(name.to_vec().into()));
    }
    let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
    path.starts_with(b"/").then(|| UnixName::Path(GuestPath::from(path)))
}
