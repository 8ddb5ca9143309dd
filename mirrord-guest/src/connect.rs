//! `connect(2)`: by a socket that lives where the destination is reached.

use std::net::SocketAddr;

use libc::c_int;
use mirrord_core::{
    rules::address::Side,
    verdict::{Errno, Verdict},
};
use mirrord_protocol::{
    GuestPath,
    agent::outgoing::UnixName,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};

use crate::{
    Outcome, World, relay,
    sockaddr::Address,
    socket::Socket,
    swap,
    world::{NONSENSE, side_of},
};

/// Connects; says nothing if the kernel is to do it, now that the socket lives where it should. Uses the heap.
pub fn connect(world: &impl World, socket: Socket, address: Address<'_>) -> Option<Outcome<()>> {
    match address {
        Address::Inet(to) => connect_inet(world, socket, to),
        Address::Unix(name) => connect_unix(world, socket, name),
        Address::Other => None,
    }
}

fn connect_inet(world: &impl World, socket: Socket, to: SocketAddr) -> Option<Outcome<()>> {
    let relays = world.relays_to(to);
    if !world.passes_sockets() && !relays {
        return None;
    }
    let protocol = socket.transport()?;
    let side = match side_of(world, protocol, to) {
        Ok(side) => side,
        Err(errno) => return Some(Err(errno)),
    };
    if relays && side == Side::There {
        let settled = swap::settle_side(world, socket, protocol, Side::Here);
        return Some(settled.and_then(|()| relay::connect(world, socket, protocol, to)));
    }
    swap::settle_side(world, socket, protocol, side).err().map(Err)
}

/// A unix socket of the target: there is no namespace of sockets to make it in, so it comes connected.
fn connect_unix(world: &impl World, socket: Socket, name: &[u8]) -> Option<Outcome<()>> {
    let kind = socket.kind().ok()?;
    if !world.has_target() || !matches!(kind, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) {
        return None;
    }
    let name = unix_name(name)?;
    let shown = match &name {
        UnixName::Path(path) => path.0.clone(),
        UnixName::Abstract(name) => [b"@", name.as_slice()].concat(),
    };
    match world.rules().outgoing.decide_unix(&shown) {
        Verdict::Leave(_) => None,
        Verdict::Refuse(errno) => Some(Err(errno)),
        Verdict::Take(()) => Some(take_unix(world, socket, name, kind)),
    }
}

fn take_unix(world: &impl World, socket: Socket, name: UnixName, kind: c_int) -> Outcome<()> {
    if socket.peer() != Err(Errno(libc::ENOTCONN)) {
        return Err(Errno(libc::EISCONN));
    }
    let (SocketAnswer::Made, Some(fresh)) = world.ask(SocketQuestion::Unix { name, kind })? else {
        return Err(NONSENSE);
    };
    swap::replace(world, socket, &fresh)
}

/// `unix(7)`: a path, cut at its NUL, or a name behind one. A relative path means the guest's own directory.
fn unix_name(name: &[u8]) -> Option<UnixName> {
    if let Some(name) = name.strip_prefix(b"\0") {
        return (!name.is_empty()).then(|| UnixName::Abstract(name.to_vec().into()));
    }
    let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
    path.starts_with(b"/").then(|| UnixName::Path(GuestPath::from(path)))
}
