//! `socket(2)`: made where its destination probably is.

use std::os::fd::{AsRawFd, OwnedFd};

use libc::c_int;
use mirrord_core::{
    rules::address::{Protocol, Side},
    verdict::Errno,
};
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};

use crate::{Outcome, World, socket::Socket};

const FLAGS: c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

/// The socket of a call; nothing if it is to be made here. It closes on `exec`, whatever the call asks for.
pub fn socket(world: &impl World, domain: c_int, kind: c_int, protocol: c_int) -> Option<Outcome<OwnedFd>> {
    if domain == libc::AF_INET6 && !world.rules().ipv6 {
        return Some(Err(Errno::EAFNOSUPPORT));
    }
    if !matches!(domain, libc::AF_INET | libc::AF_INET6) || !world.passes_sockets() {
        return None;
    }
    let transport = match (kind & !FLAGS, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Protocol::Tcp,
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Protocol::Udp,
        _ => return None,
    };
    if world.rules().outgoing.likely(transport) == Side::Here {
        return None;
    }
    let fresh = match make_there(world, domain, kind & !FLAGS, protocol) {
        Ok(fresh) => fresh,
        Err(errno @ Errno(libc::EMFILE | libc::ENFILE)) => return Some(Err(errno)),
        // One that is made here will say what is wrong when it is connected.
        Err(_) => return None,
    };
    Socket(fresh.as_raw_fd()).set_nonblocking(kind & libc::SOCK_NONBLOCK != 0).ok()?;
    Some(Ok(fresh))
}

/// A socket of the target's network namespace, closed on `exec`.
pub(crate) fn make_there(
    world: &impl World,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> Outcome<OwnedFd> {
    match world.ask(SocketQuestion::Make { domain, kind, protocol }) {
        Ok((SocketAnswer::Made, Some(fresh))) => Ok(fresh),
        // A descriptor does not arrive where there is no number left for it.
        Ok(_) | Err(Errno(libc::ENETDOWN)) => {
            let spare = Socket::make(libc::AF_UNIX, libc::SOCK_DGRAM, 0);
            Err(spare.err().unwrap_or(Errno(libc::ENETDOWN)))
        }
        Err(errno) => Err(errno),
    }
}
