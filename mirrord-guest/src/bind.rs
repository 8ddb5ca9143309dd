//! `bind(2)`: listeners stay here, on the port that the guest asked for if it is free; a path may be one there.

use std::{net::SocketAddr, os::fd::BorrowedFd};

use mirrord_core::{
    addr,
    rules::address::{Protocol, Side},
    verdict::Errno,
};
use mirrord_protocol::{GuestPath, proxy::sockets::SocketQuestion};

use crate::{Outcome, World, socket::Socket, swap, world::lives_there};

/// Binds; says nothing if the kernel is to do it. Uses the heap.
pub fn bind(world: &impl World, socket: Socket, requested: SocketAddr) -> Option<Outcome<()>> {
    if !world.has_target() {
        return None;
    }
    match socket.transport()? {
        Protocol::Udp => Some(bind_datagrams(world, socket, requested)),
        _ => bind_stream(world, socket, requested),
    }
}

/// A client's port may as well be there, a server's is the developer's to reach.
fn bind_datagrams(world: &impl World, socket: Socket, requested: SocketAddr) -> Outcome<()> {
    if !lives_there(world, socket) {
        return bind_here(world, socket, requested);
    }
    if requested.port() == 0 {
        match socket.bind(requested) {
            Err(Errno(libc::EADDRNOTAVAIL)) => {}
            outcome => return outcome,
        }
    }
    swap::to_side(world, socket, Protocol::Udp, Side::Here)?;
    bind_here(world, socket, requested)
}

/// A port that was chosen for the guest is a server's, too, if it was asked for on loopback.
fn bind_here(world: &impl World, socket: Socket, requested: SocketAddr) -> Outcome<()> {
    socket.bind(requested)?;
    if requested.port() != 0 || addr::is_loopback(requested.ip()) {
        world.record_server(socket.local()?.port());
    }
    Ok(())
}

fn bind_stream(world: &impl World, socket: Socket, requested: SocketAddr) -> Option<Outcome<()>> {
    if lives_there(world, socket)
        && let Err(errno) = swap::to_side(world, socket, Protocol::Tcp, Side::Here)
    {
        return Some(Err(errno));
    }
    let loopback = addr::is_loopback(requested.ip());
    if world.rules().incoming.wish.is_none() || (loopback && world.is_debugger_port(requested.port())) {
        return None;
    }
    let places = world.rules().incoming.places(requested);
    (places.as_slice() != [requested]).then(|| bind_somewhere(world, socket, requested, &places))
}

fn bind_somewhere(
    world: &impl World,
    socket: Socket,
    requested: SocketAddr,
    places: &[SocketAddr],
) -> Outcome<()> {
    let mut first = None;
    for place in places {
        match socket.bind(*place) {
            Ok(()) if *place == requested => return Ok(()),
            Ok(()) => return note_place(world, socket, requested, first),
            // A port that this very session listens on is taken there, too.
            Err(Errno::EADDRINUSE) if *place == requested && world.is_our_port(requested.port()) => {
                return Err(Errno::EADDRINUSE);
            }
            Err(errno @ Errno(libc::EADDRINUSE | libc::EADDRNOTAVAIL | libc::EACCES)) => {
                first.get_or_insert(errno);
            }
            Err(errno) => return Err(first.unwrap_or(errno)),
        }
    }
    Err(first.unwrap_or(Errno::EADDRINUSE))
}

/// The guest is told the address that it asked for, and the developer the one where it is.
fn note_place(world: &impl World, socket: Socket, requested: SocketAddr, why: Option<Errno>) -> Outcome<()> {
    let (inode, bound) = (socket.inode()?, socket.local()?);
    let _ = world.ask(SocketQuestion::Bound { inode, requested, bound });
    if let Some(why) = why {
        world.warn(&|| {
            let why = std::io::Error::from_raw_os_error(why.0);
            format!("cannot listen on `{requested}` here ({why}): the program listens on `{bound}` instead")
        });
    }
    Ok(())
}

/// The path of a unix socket's address, where sockets are bound to paths there: an absolute one, in a session whose
/// descriptors are passed. A relative one is the kernel's to find, wherever the guest stands.
pub fn path_of<'name>(world: &impl World, name: &'name [u8]) -> Option<&'name [u8]> {
    let path = name.split(|byte| *byte == 0).next()?;
    (world.has_target() && world.is_passed() && path.starts_with(b"/")).then_some(path)
}

/// Binds a unix socket to a path there. Uses the heap.
///
/// # Errors
/// As of `bind(2)`.
pub fn bind_there(world: &impl World, socket: Socket, path: GuestPath, mode: u32) -> Outcome<()> {
    // SAFETY: the number is the guest's, and open as long as its call lasts.
    let descriptor = unsafe { BorrowedFd::borrow_raw(socket.0) };
    world.ask_with(SocketQuestion::BindUnix { path, mode }, descriptor).map(drop)
}
