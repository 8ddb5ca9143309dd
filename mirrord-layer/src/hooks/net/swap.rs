//! Another socket behind the same number: when the first guess where a socket should live was wrong.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use libc::c_int;
use mirrord_core::rules::address::{Protocol, Side};

use super::{epoll, options, socket::make_there};
use crate::{
    abi::socket::{CLOSED, Socket},
    answer::Outcome,
};

/// Puts a socket of the other side in the place of one that is neither connected nor listening; others stay.
pub(super) fn to_side(socket: Socket, protocol: Protocol, side: Side) -> Outcome<()> {
    if protocol == Protocol::Tcp && socket.tcp_state()? != CLOSED {
        return Ok(());
    }
    let (domain, kind, number) = (socket.domain()?, socket.kind()?, socket.protocol()?);
    let fresh = match side {
        Side::Here => Socket::make(domain, kind, number)?,
        Side::There => make_there(domain, kind, number)?,
    };
    options::carry(socket, Socket(fresh.as_raw_fd()), domain, protocol);
    carry_address(socket, Socket(fresh.as_raw_fd()));
    carry_flags(socket, Socket(fresh.as_raw_fd()))?;
    install(socket, &fresh)
}

/// Puts a socket behind every number of another one, and into every set of `epoll(7)` that has those.
pub(super) fn install(socket: Socket, fresh: &OwnedFd) -> Outcome<()> {
    let numbers = epoll::Numbers::of(socket);
    numbers.withdraw();
    let mut outcome = Ok(());
    for number in numbers.all() {
        let close_on_exec = number.control(libc::F_GETFD, 0).is_ok_and(|flags| flags & libc::FD_CLOEXEC != 0);
        let replaced = number.replace(fresh, close_on_exec);
        if number == socket {
            outcome = replaced;
        }
    }
    numbers.register();
    outcome
}

/// A port that the guest has bound is bound again, where it is free there. An address of the one side means nothing
/// on the other.
fn carry_address(from: Socket, to: Socket) {
    let Ok(local) = from.local() else { return };
    if local.port() == 0 {
        return;
    }
    let anywhere = match local {
        SocketAddr::V4(_) => SocketAddr::from(([0; 4], local.port())),
        SocketAddr::V6(_) => SocketAddr::from(([0; 16], local.port())),
    };
    let place = if mirrord_core::addr::is_loopback(local.ip()) { local } else { anywhere };
    let _ = to.bind(place);
}

/// The flags and the owner of the file behind the number; those of the number itself stay its own.
pub(super) fn carry_flags(from: Socket, to: Socket) -> Outcome<()> {
    const CARRIED: c_int = libc::O_NONBLOCK | libc::O_ASYNC;
    let owner = from.control(libc::F_GETOWN, 0).unwrap_or(0);
    if owner != 0 {
        let _ = to.control(libc::F_SETOWN, owner);
    }
    let flags = from.control(libc::F_GETFL, 0)?;
    let fresh = to.control(libc::F_GETFL, 0)?;
    let wanted = (fresh & !CARRIED) | (flags & CARRIED);
    if wanted == fresh { Ok(()) } else { to.control(libc::F_SETFL, wanted).map(drop) }
}
