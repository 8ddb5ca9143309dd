//! `socket(2)`: made where its destination probably is.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use libc::c_int;
use mirrord_core::{
    rules::address::{Protocol, Side},
    verdict::Errno,
};
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};

use crate::{
    abi::socket::Socket,
    answer::{self, Outcome},
    process::Process,
};

const FLAGS: c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

pub(crate) unsafe fn socket(process: &Process, domain: c_int, kind: c_int, protocol: c_int) -> Option<c_int> {
    if domain == libc::AF_INET6 && !process.rules.ipv6 {
        return Some(answer::status(Err(Errno::EAFNOSUPPORT)));
    }
    if !matches!(domain, libc::AF_INET | libc::AF_INET6) || !process.passes_sockets() {
        return None;
    }
    let transport = match (kind & !FLAGS, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Protocol::Tcp,
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Protocol::Udp,
        _ => return None,
    };
    if process.rules.outgoing.likely(transport) == Side::Here {
        return None;
    }
    let fresh = match make_there(domain, kind & !FLAGS, protocol) {
        Ok(fresh) => fresh,
        Err(errno @ Errno(libc::EMFILE | libc::ENFILE)) => return Some(answer::status(Err(errno))),
        // One that is made here will say what is wrong when it is connected.
        Err(_) => return None,
    };
    let socket = Socket(fresh.as_raw_fd());
    let wished = socket.set_nonblocking(kind & libc::SOCK_NONBLOCK != 0).and_then(|()| {
        let close_on_exec = if kind & libc::SOCK_CLOEXEC == 0 { 0 } else { libc::FD_CLOEXEC };
        socket.control(libc::F_SETFD, close_on_exec)
    });
    wished.ok()?;
    Some(fresh.into_raw_fd())
}

/// A socket of the target's network namespace, closed on `exec`.
pub(super) fn make_there(domain: c_int, kind: c_int, protocol: c_int) -> Outcome<OwnedFd> {
    match super::ask(SocketQuestion::Make { domain, kind, protocol }) {
        Ok((SocketAnswer::Made, Some(fresh))) => Ok(fresh),
        // A descriptor does not arrive where there is no number left for it.
        Ok(_) | Err(Errno(libc::ENETDOWN)) => {
            let spare = Socket::make(libc::AF_UNIX, libc::SOCK_DGRAM, 0);
            Err(spare.err().unwrap_or(Errno(libc::ENETDOWN)))
        }
        Err(errno) => Err(errno),
    }
}
