//! `accept(2)`: a connection from the proxy's doorbell is somebody else's, who is told.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use mirrord_core::{addr, rules::address::Protocol};
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};

use crate::{Outcome, World, name, options, sockaddr::Encoded, socket::Socket};

/// What a connection really is.
pub struct Arrived {
    /// The address of its peer, as the guest is to see it.
    pub peer: Encoded,
    /// The connection that is to take the place of the accepted one, with its options; none if that is it.
    pub connection: Option<OwnedFd>,
}

/// Finds out whose connection it is. Says nothing if it is what it seems; an error means that whoever rang has hung
/// up, and that the guest waits on.
pub fn arrive(
    world: &impl World,
    listener: Socket,
    accepted: Socket,
    peer: &Encoded,
    nonblocking: bool,
) -> Option<Outcome<Arrived>> {
    let from = peer.inet().filter(|from| world.has_target() && may_be_doorbell(*from))?;
    let answer = || {
        let (listener, inode) = (listener.inode()?, accepted.inode()?);
        world.ask(SocketQuestion::Accepted { listener, inode, from: addr::plain(from) })
    };
    let (real, connection) = match answer() {
        Ok((SocketAnswer::Arrived { peer, .. }, connection)) => (peer, connection),
        Ok(_) => return None,
        Err(errno) => return Some(Err(errno)),
    };
    let domain = accepted.domain().ok()?;
    if let Some(stolen) = &connection {
        let fresh = Socket(stolen.as_raw_fd());
        options::carry(accepted, fresh, domain, Protocol::Tcp);
        if domain == libc::AF_INET6 && fresh.domain() == Ok(libc::AF_INET) {
            name::tell_as_v6(fresh);
        }
        if let Err(errno) = fresh.set_nonblocking(nonblocking) {
            return Some(Err(errno));
        }
    }
    Some(Ok(Arrived { peer: Encoded::new(real, domain), connection }))
}

/// Whether a guest that was to be given a connection whose peer has hung up can be given nothing at all: it looks on, or
/// waits for the next one. If it would have to wait for one that may never come, although it was told that there is
/// one, it is given the one that has ended, as by the kernel.
#[must_use]
pub fn may_skip(listener: Socket) -> bool {
    listener.is_nonblocking() || listener.is_readable(0)
}

/// Whether it may be the proxy that rings: from addresses of its own, or from `::1` where only IPv6 is heard.
#[must_use]
pub fn may_be_doorbell(from: SocketAddr) -> bool {
    addr::is_doorbell(from.ip())
        || (from.is_ipv6() && addr::is_loopback(from.ip()) && from.ip().to_canonical().is_ipv6())
}
