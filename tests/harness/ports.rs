//! Ports that nobody has.

use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};

/// A TCP port that nobody has here. It was never listened on, and others may take it at once: so a child of another
/// thread that still holds the socket, because it has not come to its `execve` yet, is in nobody's way.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let it = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    setsockopt(&it, sockopt::ReuseAddr, &true).expect("an address that may be taken again");
    bind(it.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0)).expect("a port");
    getsockname::<SockaddrIn>(it.as_raw_fd()).expect("its number").port()
}
