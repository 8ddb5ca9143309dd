//! `bind(2)`: listeners stay here, on the port that the guest asked for if it is free.

use std::net::SocketAddr;

use libc::{c_int, sockaddr, socklen_t};
use mirrord_core::{
    addr,
    rules::address::{Protocol, Side},
    verdict::Errno,
};
use mirrord_protocol::proxy::sockets::SocketQuestion;

use super::{ask, lives_there, servers, swap, warn};
use crate::{
    abi::{sockaddr::Address, socket::Socket},
    answer::{self, Outcome},
    engine,
    process::Process,
};

pub(crate) unsafe fn bind(
    process: &Process,
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    // SAFETY: the guest's address, under the contract of `bind(2)`.
    let Address::Inet(requested) = (unsafe { Address::read(address, length) }) else { return None };
    if !process.facts.has_target {
        return None;
    }
    let socket = Socket(fd);
    let taken = match socket.transport()? {
        Protocol::Udp => Some(bind_datagrams(process, socket, requested)),
        _ => bind_stream(process, socket, requested),
    };
    taken.map(answer::status)
}

/// A client's port may as well be there, a server's is the developer's to reach.
fn bind_datagrams(process: &Process, socket: Socket, requested: SocketAddr) -> Outcome<()> {
    if !lives_there(process, socket) {
        return bind_here(socket, requested);
    }
    if requested.port() == 0 {
        match socket.bind(requested) {
            Err(Errno(libc::EADDRNOTAVAIL)) => {}
            outcome => return outcome,
        }
    }
    swap::to_side(socket, Protocol::Udp, Side::Here).and_then(|()| bind_here(socket, requested))
}

/// A port that was chosen for the guest is a server's, too, if it was asked for on loopback.
fn bind_here(socket: Socket, requested: SocketAddr) -> Outcome<()> {
    socket.bind(requested)?;
    if requested.port() != 0 || addr::is_loopback(requested.ip()) {
        servers::record(socket.local()?.port());
    }
    Ok(())
}

fn bind_stream(process: &Process, socket: Socket, requested: SocketAddr) -> Option<Outcome<()>> {
    if lives_there(process, socket)
        && let Err(errno) = swap::to_side(socket, Protocol::Tcp, Side::Here)
    {
        return Some(Err(errno));
    }
    let loopback = addr::is_loopback(requested.ip());
    if process.rules.incoming.wish.is_none() || (loopback && process.is_debugger_port(requested.port())) {
        return None;
    }
    engine::work(|| {
        let places = process.rules.incoming.places(requested);
        (places.as_slice() != [requested]).then(|| bind_somewhere(process, socket, requested, &places))
    })
}

fn bind_somewhere(
    process: &Process,
    socket: Socket,
    requested: SocketAddr,
    places: &[SocketAddr],
) -> Outcome<()> {
    let mut first = None;
    for place in places {
        match socket.bind(*place) {
            Ok(()) if *place == requested => return Ok(()),
            Ok(()) => return note_place(socket, requested, first),
            // A port that this very session listens on is taken there, too.
            Err(Errno::EADDRINUSE) if *place == requested && process.is_our_port(requested.port()) => {
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
fn note_place(socket: Socket, requested: SocketAddr, why: Option<Errno>) -> Outcome<()> {
    let (inode, bound) = (socket.inode()?, socket.local()?);
    let _ = ask(SocketQuestion::Bound { inode, requested, bound });
    if let Some(why) = why {
        warn(|| {
            let why = std::io::Error::from_raw_os_error(why.0);
            format!("cannot listen on `{requested}` here ({why}): the program listens on `{bound}` instead")
        });
    }
    Ok(())
}
