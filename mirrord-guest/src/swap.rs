//! Another socket behind the same number: when the first guess where a socket should live was wrong.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use libc::c_int;
use mirrord_core::rules::address::{Protocol, Side};

use crate::{
    Outcome, World,
    make::make_there,
    options,
    socket::{CLOSED, Socket},
    world::lives_there,
};

/// Makes a socket live on the side where its destination is reached.
///
/// # Errors
/// When the other socket cannot be had.
pub fn settle_side(world: &impl World, socket: Socket, protocol: Protocol, side: Side) -> Outcome<()> {
    let is_there = lives_there(world, socket);
    if is_there == (side == Side::There) { Ok(()) } else { to_side(world, socket, protocol, side) }
}

/// Puts a socket of the other side in the place of one that is neither connected nor listening; others stay.
pub(crate) fn to_side(world: &impl World, socket: Socket, protocol: Protocol, side: Side) -> Outcome<()> {
    if protocol == Protocol::Tcp && socket.tcp_state()? != CLOSED {
        return Ok(());
    }
    let (domain, kind, number) = (socket.domain()?, socket.kind()?, socket.protocol()?);
    let fresh = match side {
        Side::Here => Socket::make(domain, kind, number)?,
        Side::There => make_there(world, domain, kind, number)?,
    };
    options::carry(socket, Socket(fresh.as_raw_fd()), domain, protocol);
    carry_address(socket, Socket(fresh.as_raw_fd()));
    carry_flags(socket, Socket(fresh.as_raw_fd()))?;
    world.install(socket, &fresh)
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
pub(crate) fn carry_flags(from: Socket, to: Socket) -> Outcome<()> {
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

/// Puts a socket that came connected in the place of the guest's own.
pub(crate) fn replace(world: &impl World, socket: Socket, fresh: &OwnedFd) -> Outcome<()> {
    carry_flags(socket, Socket(fresh.as_raw_fd()))?;
    world.install(socket, fresh)
}
