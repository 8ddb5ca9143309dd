//! `getsockname(2)` and `getpeername(2)`: the addresses that a socket would have if it were where it seems to be.

use std::net::SocketAddr;

use libc::c_int;
use mirrord_core::{addr, rules::address::Protocol};
use mirrord_protocol::{
    id::SocketInode,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};

use crate::{
    World,
    arrive::may_be_doorbell,
    datagram::source_of,
    sockaddr::{Address, Encoded},
    socket::{CLOSED, LISTENING, Socket},
    world::lives_there,
};

/// `SO_ORIGINAL_DST`, of both families: the address that the peer of a redirected connection asked for.
const ORIGINAL_DESTINATION: libc::c_int = 80;

/// Which of its addresses is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// `getsockname(2)`.
    Own,
    /// `getpeername(2)`.
    Peers,
}

/// The address to tell; nothing if the kernel's own answer is right.
pub fn address(world: &impl World, socket: Socket, whose: Whose) -> Option<Encoded> {
    if !world.has_target() {
        return None;
    }
    let protocol = socket.transport()?;
    let told = match whose {
        Whose::Own => own_address(world, socket, protocol),
        Whose::Peers => peer_address(world, socket, protocol),
    }?;
    let is_passed = protocol == Protocol::Tcp && lives_there(world, socket);
    let domain = if is_passed && is_told_as_v6(socket) { libc::AF_INET6 } else { socket.domain().ok()? };
    Some(Encoded::new(told, domain))
}

/// The same for a socket of which only the inode and the domain are known.
pub fn address_of(world: &impl World, inode: SocketInode, domain: c_int, whose: Whose) -> Option<Encoded> {
    match world.ask(SocketQuestion::Addresses(inode)) {
        Ok((SocketAnswer::Addresses { local, peer }, _)) => {
            Some(Encoded::new(if whose == Whose::Own { local } else { peer }, domain))
        }
        _ => None,
    }
}

/// The listener spoke IPv6, and this IPv4 connection was passed in the place of its own. That its guest is told mapped
/// addresses is a bit of the socket itself: one that means nothing to TCP, and survives whatever is done to descriptors.
pub(crate) fn tell_as_v6(passed: Socket) {
    let _ = passed.set_number(libc::SOL_SOCKET, libc::SO_NO_CHECK, 1);
}

fn is_told_as_v6(socket: Socket) -> bool {
    socket.domain() == Ok(libc::AF_INET)
        && socket.number(libc::SOL_SOCKET, libc::SO_NO_CHECK).is_ok_and(|bit| bit != 0)
}

fn own_address(world: &impl World, socket: Socket, protocol: Protocol) -> Option<SocketAddr> {
    let local = socket.local().ok().filter(|local| local.port() != 0)?;
    if lives_there(world, socket) {
        let plain = || is_told_as_v6(socket).then_some(local);
        return (protocol == Protocol::Tcp).then(|| stolen_address(socket, local).or_else(plain)).flatten();
    }
    let asked = match socket.peer() {
        Ok(peer) => may_be_ours(world, peer),
        Err(_) if protocol == Protocol::Udp => world.may_relay(),
        // A listener, or one that will be: it may be bound elsewhere than it asked for.
        Err(_) => matches!(socket.tcp_state(), Ok(CLOSED | LISTENING)),
    };
    asked.then(|| addresses(world, socket)).flatten().map(|(local, _)| local)
}

fn peer_address(world: &impl World, socket: Socket, protocol: Protocol) -> Option<SocketAddr> {
    let peer = socket.peer().ok()?;
    if lives_there(world, socket) {
        return (protocol == Protocol::Tcp && is_told_as_v6(socket)).then_some(peer);
    }
    if !may_be_ours(world, peer) {
        return None;
    }
    if protocol == Protocol::Udp {
        return source_of(world, socket, peer);
    }
    addresses(world, socket).map(|(_, peer)| peer)
}

/// Whether the other end may be the proxy's.
fn may_be_ours(world: &impl World, peer: SocketAddr) -> bool {
    may_be_doorbell(peer) || (world.may_relay() && addr::is_loopback(peer.ip()))
}

fn addresses(world: &impl World, socket: Socket) -> Option<(SocketAddr, SocketAddr)> {
    match world.ask(SocketQuestion::Addresses(socket.inode().ok()?)) {
        Ok((SocketAnswer::Addresses { local, peer }, _)) => Some((local, peer)),
        _ => None,
    }
}

/// A stolen connection was turned to the agent's port; the kernel still knows which one it was meant for. One that
/// begins there was meant for its peer.
fn stolen_address(socket: Socket, local: SocketAddr) -> Option<SocketAddr> {
    let peer = socket.peer().ok()?;
    let level = if addr::plain(peer).is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    let meant = socket.long_option(level, ORIGINAL_DESTINATION).ok()?;
    let Address::Inet(meant) = meant.address() else { return None };
    let is_its_own = |other| addr::plain(meant) == addr::plain(other);
    (!is_its_own(peer) && !is_its_own(local)).then_some(meant)
}
