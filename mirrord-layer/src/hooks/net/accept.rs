//! `accept(2)`: a connection from the proxy's doorbell is somebody else's, who is told.

use libc::{c_int, sockaddr, socklen_t};
use mirrord_core::verdict::Errno;
use mirrord_guest::arrive;

use crate::{
    abi::{is_plausible, sockaddr::Encoded, socket::Socket},
    answer::{self, Outcome},
    engine::{self, table::net::original},
    link,
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
        // Whoever is told of the real connection has it: without a number for it, the target is to get it instead.
        if peer.inet().is_some_and(arrive::may_be_doorbell)
            && let Err(errno) = link::find_room()
        {
            accepted.close();
            answer::set_errno(Errno(errno.raw_os_error()));
            return -1;
        }
        match engine::taken(|process| arrive(process, Socket(fd), accepted, &peer, flags)) {
            // Whoever rang has hung up.
            Some(Err(_)) if arrive::may_skip(Socket(fd)) => {
                accepted.close();
                continue;
            }
            Some(Err(_)) => accepted.shut(),
            Some(Ok(real)) => peer = real,
            None => {}
        }
        // SAFETY: the guest's places, under the contract of `accept(2)`.
        unsafe { peer.give(address, length) };
        return number;
    }
}

/// Puts the real connection in the place of one that is somebody else's, and tells its peer. Says nothing if it is what
/// it seems.
fn arrive(
    process: &Process,
    listener: Socket,
    accepted: Socket,
    peer: &Encoded,
    flags: c_int,
) -> Option<Outcome<Encoded>> {
    let nonblocking = flags & libc::SOCK_NONBLOCK != 0;
    let arrived = match arrive::arrive(process, listener, accepted, peer, nonblocking)? {
        Ok(arrived) => arrived,
        Err(errno) => return Some(Err(errno)),
    };
    if let Some(connection) = &arrived.connection
        && let Err(errno) = accepted.replace(connection, flags & libc::SOCK_CLOEXEC != 0)
    {
        return Some(Err(errno));
    }
    Some(Ok(arrived.peer))
}
