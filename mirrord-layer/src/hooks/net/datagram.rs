//! Sends without a connection: to the far side itself where the socket lives there, and else to its relay.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::BorrowedFd,
};

use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use mirrord_core::{
    addr,
    rules::address::{Protocol, Side},
    verdict::Errno,
};
use mirrord_protocol::{
    id::SocketInode,
    proxy::{
        ToProxy,
        sockets::{SocketAnswer, SocketQuestion},
    },
};

use super::{ask, connect::settle_side, lives_there, settle, side_of};
use crate::{
    abi::{
        is_plausible,
        sockaddr::{Address, Encoded},
        socket::Socket,
    },
    answer::{self, Outcome},
    engine::{self, table::net::original},
    link,
    process::{self, Process},
};

/// The port of name servers: a query goes there, however its socket came to be.
const DNS: u16 = 53;

pub(crate) unsafe fn sendto(
    fd: c_int,
    bytes: *const c_void,
    n_bytes: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    // SAFETY: the guest's address, under the contract of `sendto(2)`.
    let redirected = unsafe { redirect(fd, address, length) };
    match redirected {
        // SAFETY: the guest's own arguments.
        None => unsafe { original::sendto()(fd, bytes, n_bytes, flags, address, length) },
        Some(Err(errno)) => answer::number(Err(errno)),
        // SAFETY: the guest's own arguments, and an address of ours.
        Some(Ok(to)) => unsafe { original::sendto()(fd, bytes, n_bytes, flags, to.as_ptr(), to.length()) },
    }
}

pub(crate) unsafe fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the guest's message, under the contract of `sendmsg(2)`.
    let header = unsafe { read_header(message) };
    // SAFETY: its address, under the same contract.
    let redirected =
        header.and_then(|header| unsafe { redirect(fd, header.msg_name.cast(), header.msg_namelen) });
    match (redirected, header) {
        (Some(Err(errno)), _) => answer::number(Err(errno)),
        (Some(Ok(mut to)), Some(mut header)) => {
            (header.msg_name, header.msg_namelen) = (to.as_mut_ptr().cast(), to.length());
            // SAFETY: the guest's message but for its address, which is ours.
            unsafe { original::sendmsg()(fd, &raw const header, flags) }
        }
        // SAFETY: the guest's own arguments.
        _ => unsafe { original::sendmsg()(fd, message, flags) },
    }
}

pub(crate) unsafe fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n_messages: c_uint, flags: c_int) -> c_int {
    let is_one_by_one = engine::taken(|process| {
        if !is_plausible(messages) || n_messages == 0 {
            return None;
        }
        // SAFETY: the first of the guest's messages, under the contract of `sendmmsg(2)`.
        let header = unsafe { read_header(messages.cast()) }?;
        let handled = is_plausible(header.msg_name) && (process.relays_sockets() || process.passes_sockets());
        (handled && Socket(fd).transport() == Some(Protocol::Udp)).then_some(())
    });
    if is_one_by_one.is_none() {
        // SAFETY: the guest's own arguments.
        return unsafe { original::sendmmsg()(fd, messages, n_messages, flags) };
    }
    let mut n_sent = 0;
    for index in 0..n_messages {
        let message = messages.wrapping_add(usize::try_from(index).unwrap_or(0));
        // SAFETY: one of the guest's messages.
        let length = unsafe { sendmsg(fd, message.cast(), flags) };
        let Ok(length) = c_uint::try_from(length) else {
            return if n_sent == 0 { -1 } else { n_sent };
        };
        // SAFETY: as above.
        unsafe { (*message).msg_len = length };
        n_sent += 1;
    }
    n_sent
}

unsafe fn read_header(message: *const msghdr) -> Option<msghdr> {
    if !is_plausible(message) {
        return None;
    }
    // SAFETY: the caller gives a guest's message.
    Some(unsafe { message.read_unaligned() })
}

/// The address to send to instead; nothing if the guest's own is right, now that its socket lives where it should.
unsafe fn redirect(fd: c_int, address: *const sockaddr, length: socklen_t) -> Option<Outcome<Encoded>> {
    if !is_plausible(address) {
        return None;
    }
    // SAFETY: the caller's duty.
    let Address::Inet(to) = (unsafe { Address::read(address, length) }) else { return None };
    engine::taken(|process| {
        if !process.passes_sockets() && !process.relays_sockets() {
            return None;
        }
        redirect_to(process, Socket(fd), to).unwrap_or_else(|errno| Some(Err(errno)))
    })
}

fn redirect_to(process: &Process, socket: Socket, to: SocketAddr) -> Outcome<Option<Outcome<Encoded>>> {
    let Some(protocol) = socket.transport() else { return Ok(None) };
    let side = side_of(process, protocol, to)?;
    if protocol == Protocol::Tcp {
        // Only with `MSG_FASTOPEN` does an address matter to a stream; a relayed one is connected by `connect`.
        return match (process.relays_sockets(), side) {
            (true, Side::There) if socket.peer().is_err() => Err(Errno(libc::EOPNOTSUPP)),
            (true, _) => Ok(None),
            (false, _) => settle_side(process, socket, protocol, side).map(|()| None),
        };
    }
    if is_server(process, socket, to) {
        return Ok(None);
    }
    if process.passes_sockets() {
        return settle_side(process, socket, protocol, side).map(|()| None);
    }
    match side {
        Side::Here => Ok(None),
        Side::There => {
            let relay = relay_of(socket, to, false)?;
            Ok(Some(Ok(Encoded::new(relay, socket.domain()?))))
        }
    }
}

/// A socket that has a port of this machine already answers those who asked it here; but queries for names are a
/// client's.
fn is_server(process: &Process, socket: Socket, to: SocketAddr) -> bool {
    if to.port() == DNS || lives_there(process, socket) {
        return false;
    }
    addr::is_loopback(to.ip()) && socket.local().is_ok_and(|local| local.port() != 0)
}

/// Where datagrams of a socket to a destination go. The socket gets a port, by which the relay knows it.
pub(super) fn relay_of(socket: Socket, to: SocketAddr, is_connect: bool) -> Outcome<SocketAddr> {
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
    let question = ToProxy::Socket(SocketQuestion::DatagramRelay { inode, from: addr::plain(from), to });
    // SAFETY: the guest's call keeps its number open while it lasts; if it does not, the kernel refuses it.
    let duplicate = unsafe { BorrowedFd::borrow_raw(socket.0) };
    let asked = engine::work(|| {
        settle(if is_connect { link::ask_with(&question, duplicate) } else { link::ask(&question) })
    });
    let (SocketAnswer::Relay(relay), _) = asked? else { return Err(Errno(libc::ENETDOWN)) };
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
pub(super) fn source_of(socket: Socket, from: SocketAddr) -> Option<SocketAddr> {
    let inode = socket.inode().ok()?;
    if let Some((known, relay, source)) = LAST_HEARD.get()
        && (known, relay) == (inode, from)
    {
        return Some(source);
    }
    let (SocketAnswer::Addresses { peer, .. }, _) =
        ask(SocketQuestion::DatagramSource { inode, from: addr::plain(from) }).ok()?
    else {
        return None;
    };
    LAST_HEARD.set(Some((inode, from, peer)));
    Some(peer)
}

/// Whether what is received may have come by a relay.
fn hears_relays(fd: c_int) -> bool {
    process::get().is_some_and(Process::relays_sockets) && Socket(fd).transport() == Some(Protocol::Udp)
}

/// The address to tell the guest, as its socket spells addresses.
fn retold(fd: c_int, from: SocketAddr) -> Option<Encoded> {
    engine::taken(|_| {
        let socket = Socket(fd);
        let source = addr::is_loopback(from.ip()).then(|| source_of(socket, from)).flatten()?;
        Some(Encoded::new(source, socket.domain().ok()?))
    })
}

pub(crate) unsafe fn recvfrom(
    fd: c_int,
    bytes: *mut c_void,
    n_bytes: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    if !is_plausible(address) || !is_plausible(length) || !hears_relays(fd) {
        // SAFETY: the guest's own arguments.
        return unsafe { original::recvfrom()(fd, bytes, n_bytes, flags, address, length) };
    }
    let mut from = Encoded::empty();
    // SAFETY: the guest's own arguments, and a place of ours for the address.
    let n_read =
        unsafe { original::recvfrom()(fd, bytes, n_bytes, flags, from.as_mut_ptr(), from.length_mut()) };
    if n_read >= 0 {
        let told = from.inet().and_then(|from| retold(fd, from)).unwrap_or(from);
        // SAFETY: the guest's places, under the contract of `recvfrom(2)`.
        unsafe { told.give(address, length) };
    }
    n_read
}

/// The spelling of programs that were compiled with `_FORTIFY_SOURCE`.
pub(crate) unsafe fn recvfrom_checked(
    fd: c_int,
    bytes: *mut c_void,
    n_bytes: size_t,
    room: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    if n_bytes > room {
        // SAFETY: the guest's own arguments, at which the original ends the program.
        return unsafe { original::__recvfrom_chk()(fd, bytes, n_bytes, room, flags, address, length) };
    }
    // SAFETY: the guest's own arguments.
    unsafe { recvfrom(fd, bytes, n_bytes, flags, address, length) }
}

pub(crate) unsafe fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the guest's message, under the contract of `recvmsg(2)`.
    let room = unsafe { read_header(message) }.map_or(0, |header| header.msg_namelen);
    // SAFETY: the guest's own arguments.
    let n_read = unsafe { original::recvmsg()(fd, message, flags) };
    if n_read >= 0 && room > 0 && hears_relays(fd) {
        // SAFETY: the guest's message, which the kernel has filled.
        unsafe { retell(fd, message, room) };
    }
    n_read
}

pub(crate) unsafe fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    n_messages: c_uint,
    flags: c_int,
    patience: *mut timespec,
) -> c_int {
    // Guests give every message the same room for an address.
    // SAFETY: the first of the guest's messages, under the contract of `recvmmsg(2)`.
    let first = if n_messages > 0 { unsafe { read_header(messages.cast()) } } else { None };
    let room = first.map_or(0, |header| header.msg_namelen);
    // SAFETY: the guest's own arguments.
    let n_read = unsafe { original::recvmmsg()(fd, messages, n_messages, flags, patience) };
    if room > 0 && hears_relays(fd) {
        for index in 0..usize::try_from(n_read).unwrap_or(0) {
            // SAFETY: one of the messages that the kernel has filled.
            unsafe { retell(fd, messages.wrapping_add(index).cast(), room) };
        }
    }
    n_read
}

/// Rewrites the source of a received message.
unsafe fn retell(fd: c_int, message: *mut msghdr, room: socklen_t) {
    // SAFETY: the caller gives a guest's message that the kernel has filled.
    let Some(header) = (unsafe { read_header(message) }) else { return };
    // SAFETY: the address in it, as the kernel has written it.
    let Address::Inet(from) = (unsafe { Address::read(header.msg_name.cast(), header.msg_namelen) }) else {
        return;
    };
    let Some(told) = retold(fd, from) else { return };
    let mut length = room;
    // SAFETY: the guest's place for the address, with the room that it told.
    unsafe { told.give(header.msg_name.cast(), &raw mut length) };
    // SAFETY: the caller gives a guest's message.
    unsafe { (*message).msg_namelen = length };
}
