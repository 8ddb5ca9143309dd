//! Sends without a connection: to the far side itself where the socket lives there, and else to its relay.

use std::net::SocketAddr;

use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use mirrord_core::rules::address::Protocol;
use mirrord_guest::{World, datagram};

use crate::{
    abi::{
        is_plausible,
        sockaddr::{Address, Encoded},
        socket::Socket,
    },
    answer::{self, Outcome},
    engine::{self, table::net::original},
    process,
};

pub(crate) unsafe fn sendto(
    fd: c_int,
    bytes: *const c_void,
    n_bytes: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    // SAFETY: the guest's address, under the contract of `sendto(2)`.
    let redirected = unsafe { redirect(fd, address, length, flags) };
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
        header.and_then(|header| unsafe { redirect(fd, header.msg_name.cast(), header.msg_namelen, flags) });
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
        let handled = is_plausible(header.msg_name) && (process.may_relay() || process.passes_sockets());
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
unsafe fn redirect(
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
    flags: c_int,
) -> Option<Outcome<Encoded>> {
    if !is_plausible(address) {
        return None;
    }
    // SAFETY: the caller's duty.
    let Address::Inet(to) = (unsafe { Address::read(address, length) }) else { return None };
    engine::taken(|process| datagram::redirect(process, Socket(fd), to, flags))
}

/// Whether what is received may have come by a relay.
fn hears_relays(fd: c_int) -> bool {
    process::get().is_some_and(|process| datagram::hears_relays(process, Socket(fd)))
}

/// The address to tell the guest, as its socket spells addresses.
fn retold(fd: c_int, from: SocketAddr) -> Option<Encoded> {
    engine::taken(|process| datagram::retold(process, Socket(fd), from))
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
