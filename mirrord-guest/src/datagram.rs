//! Sends without a connection: to the far side itself where the socket lives there, and else to its relay.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::BorrowedFd,
};

use libc::c_int;
use mirrord_core::{
    addr,
    rules::address::{Protocol, Side},
    verdict::Errno,
};
use mirrord_protocol::{
    id::SocketInode,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};

use crate::{
    Outcome, World, relay,
    sockaddr::Encoded,
    socket::Socket,
    swap::settle_side,
    world::{DNS, NONSENSE, lives_there, side_of},
};

/// The address to send to instead; nothing if the guest's own is right, now that its socket lives where it should.
pub fn redirect(
    world: &impl World,
    socket: Socket,
    to: SocketAddr,
    flags: c_int,
) -> Option<Outcome<Encoded>> {
    if !world.passes_sockets() && !world.relays_to(to) {
        return None;
    }
    redirect_to(world, socket, to, flags).transpose()
}

fn redirect_to(world: &impl World, socket: Socket, to: SocketAddr, flags: c_int) -> Outcome<Option<Encoded>> {
    let Some(protocol) = socket.transport() else { return Ok(None) };
    if protocol == Protocol::Tcp && flags & libc::MSG_FASTOPEN == 0 {
        // An address means nothing to a stream.
        return Ok(None);
    }
    let side = side_of(world, protocol, to)?;
    if protocol == Protocol::Udp && is_server(world, socket, to) {
        return Ok(None);
    }
    if side == Side::Here || !world.relays_to(to) {
        return settle_side(world, socket, protocol, side).map(|()| None);
    }
    settle_side(world, socket, protocol, Side::Here)?;
    if protocol == Protocol::Tcp {
        return open_relayed(world, socket, to).map(|()| None);
    }
    let relay = relay_of(world, socket, to, false)?;
    Ok(Some(Encoded::new(relay, socket.domain()?)))
}

/// A connect by a send: a relayed stream takes its first bytes only when it is connected.
fn open_relayed(world: &impl World, socket: Socket, to: SocketAddr) -> Outcome<()> {
    if socket.peer().is_ok() {
        return Ok(());
    }
    if socket.is_nonblocking() {
        relay::connect(world, socket, Protocol::Tcp, to)
    } else {
        Err(Errno(libc::EOPNOTSUPP))
    }
}

/// A socket that has a port of this machine already answers those who asked it here; but queries for names are a
/// client's.
fn is_server(world: &impl World, socket: Socket, to: SocketAddr) -> bool {
    if to.port() == DNS || lives_there(world, socket) {
        return false;
    }
    addr::is_loopback(to.ip()) && socket.local().is_ok_and(|local| local.port() != 0)
}

/// Where datagrams of a socket to a destination go. The socket gets a port, by which the relay knows it.
pub(crate) fn relay_of(
    world: &impl World,
    socket: Socket,
    to: SocketAddr,
    is_connect: bool,
) -> Outcome<SocketAddr> {
    let (inode, to) = (socket.inode()?, addr::plain(to));
    let mut from = socket.local()?;
    if from.port() == 0 {
        let domain = socket.domain()?;
        let ip: IpAddr = match domain {
            libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        if domain == libc::AF_INET6 {
            let _ = socket.set_number(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0);
        }
        socket.bind(SocketAddr::new(ip, 0))?;
        from = socket.local()?;
    } else if let Some(sent) = LAST_SENT.get()
        && !is_connect
        && (sent.inode, sent.port, sent.to) == (inode, from.port(), to)
    {
        return Ok(sent.relay);
    }
    let question = SocketQuestion::DatagramRelay { inode, from: addr::plain(from), to };
    // SAFETY: the guest's call keeps its number open while it lasts; if it does not, the kernel refuses it.
    let duplicate = unsafe { BorrowedFd::borrow_raw(socket.0) };
    let asked = if is_connect { world.ask_with(question, duplicate) } else { world.ask(question) };
    let (SocketAnswer::Relay(relay), _) = asked? else { return Err(NONSENSE) };
    LAST_SENT.set(Some(Sent { inode, port: from.port(), to, relay }));
    Ok(relay)
}

/// A destination and its relay. The port is a socket's until it is disconnected.
#[derive(Clone, Copy)]
struct Sent {
    inode: SocketInode,
    port: u16,
    to: SocketAddr,
    relay: SocketAddr,
}

thread_local! {
    /// The last destination and its relay: most sockets have one.
    static LAST_SENT: Cell<Option<Sent>> = const { Cell::new(None) };
    /// The last relay that was heard, and whom it stands for.
    static LAST_HEARD: Cell<Option<(SocketInode, SocketAddr, SocketAddr)>> = const { Cell::new(None) };
}

/// Whom a datagram came from, if a relay delivered it.
pub(crate) fn source_of(world: &impl World, socket: Socket, from: SocketAddr) -> Option<SocketAddr> {
    let inode = socket.inode().ok()?;
    if let Some((known, relay, source)) = LAST_HEARD.get()
        && (known, relay) == (inode, from)
    {
        return Some(source);
    }
    let (SocketAnswer::Addresses { peer, .. }, _) =
        world.ask(SocketQuestion::DatagramSource { inode, from: addr::plain(from) }).ok()?
    else {
        return None;
    };
    LAST_HEARD.set(Some((inode, from, peer)));
    Some(peer)
}

/// Whether what is received by a socket may have come by a relay.
pub fn hears_relays(world: &impl World, socket: Socket) -> bool {
    world.may_relay() && socket.transport() == Some(Protocol::Udp) && !lives_there(world, socket)
}

/// The address to tell the guest, as its socket spells addresses; nothing if it is the right one.
pub fn retold(world: &impl World, socket: Socket, from: SocketAddr) -> Option<Encoded> {
    let source = addr::is_loopback(from.ip()).then(|| source_of(world, socket, from)).flatten()?;
    Some(Encoded::new(source, socket.domain().ok()?))
}
