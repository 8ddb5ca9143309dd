//! `accept(2)`: a connection from the proxy's doorbell is somebody else's, who is told.

use std::{net::SocketAddr, os::fd::AsRawFd};

use libc::{c_int, sockaddr, socklen_t};
use mirrord_core::{addr, rules::address::Protocol};
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};

use super::{ask, name, options};
use crate::{
    abi::{is_plausible, sockaddr::Encoded, socket::Socket},
    answer::Outcome,
    engine::{self, table::net::original},
    process::{self, Process},
};

pub(crate) unsafe fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: `accept(2)` is `accept4(2)` without flags.
    unsafe { accept4(fd, address, length, 0) }
}

pub(crate) unsafe fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    let is_readable = address.is_null() || (is_plausible(address) && is_plausible(length));
    if process::get().is_none() || !is_readable {
        // SAFETY: the guest's own arguments.
        return unsafe { original::accept4()(fd, address, length, flags) };
    }
    loop {
        let mut peer = Encoded::empty();
        // SAFETY: the place is ours, and as large as any address. Nothing here waits to be dropped.
        let number = unsafe { original::accept4()(fd, peer.as_mut_ptr(), peer.length_mut(), flags) };
        if number < 0 {
            return number;
        }
        let accepted = Socket(number);
        match engine::taken(|process| arrive(process, Socket(fd), accepted, &peer, flags)) {
            Some(Err(_)) => {
                // Whoever rang has hung up: the guest waits on.
                accepted.close();
                continue;
            }
            Some(Ok(real)) => peer = real,
            None => {}
        }
        // SAFETY: the guest's places, under the contract of `accept(2)`.
        unsafe { peer.give(address, length) };
        return number;
    }
}

/// Finds out whose connection it is, and puts the real one in its place. Says nothing if it is what it seems.
fn arrive(
    process: &Process,
    listener: Socket,
    accepted: Socket,
    peer: &Encoded,
    flags: c_int,
) -> Option<Outcome<Encoded>> {
    let from = peer.inet().filter(|from| process.facts.has_target && may_be_doorbell(*from))?;
    let answer = || {
        let (listener, inode) = (listener.inode()?, accepted.inode()?);
        ask(SocketQuestion::Accepted { listener, inode, from: addr::plain(from) })
    };
    let (real, descriptor) = match answer() {
        Ok((SocketAnswer::Arrived { peer, .. }, descriptor)) => (peer, descriptor),
        Ok(_) => return None,
        Err(errno) => return Some(Err(errno)),
    };
    let domain = accepted.domain().ok()?;
    if let Some(stolen) = descriptor {
        let fresh = Socket(stolen.as_raw_fd());
        options::carry(accepted, fresh, domain, Protocol::Tcp);
        if domain == libc::AF_INET6 && fresh.domain() == Ok(libc::AF_INET) {
            name::tell_as_v6(fresh);
        }
        let placed = fresh
            .set_nonblocking(flags & libc::SOCK_NONBLOCK != 0)
            .and_then(|()| accepted.replace(&stolen, flags & libc::SOCK_CLOEXEC != 0));
        if let Err(errno) = placed {
            return Some(Err(errno));
        }
    }
    Some(Ok(Encoded::new(real, domain)))
}

/// The proxy rings from addresses of its own, or from `::1` where only IPv6 is heard.
pub(super) fn may_be_doorbell(from: SocketAddr) -> bool {
    addr::is_doorbell(from.ip())
        || (from.is_ipv6() && addr::is_loopback(from.ip()) && from.ip().to_canonical().is_ipv6())
}
