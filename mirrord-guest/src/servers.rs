//! Whether somebody answers datagrams on a port here: the kernel tells.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

use mirrord_core::verdict::Errno;

use crate::socket::Socket;

/// Whether a port is taken.
#[must_use]
pub fn is_bound(at: SocketAddr) -> bool {
    let domain = if at.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let loopback = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], at.port())),
        _ => at,
    };
    Socket::make(domain, libc::SOCK_DGRAM, 0)
        .is_ok_and(|probe| Socket(probe.as_raw_fd()).bind(loopback) == Err(Errno::EADDRINUSE))
}
