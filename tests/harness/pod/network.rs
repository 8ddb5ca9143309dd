//! The pod's network: a loopback with addresses of its own, and nothing else.

use std::{io, net::Ipv6Addr};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsRawFd;

/// `struct ifreq` with an address or flags in it.
#[repr(C)]
struct Request<T> {
    name: [u8; 16],
    value: T,
}

#[repr(C)]
struct Request6 {
    address: [u8; 16],
    prefix: u32,
    index: libc::c_int,
}

/// Brings the loopback up, and gives it the pod's addresses: its own, those of its names, and the resolver's.
pub fn raise() -> io::Result<()> {
    let inet = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let up = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    ask(inet.as_raw_fd(), libc::SIOCSIFFLAGS, &named("lo", [up, 0, 0, 0, 0, 0, 0, 0]))?;
    for (index, last) in [2u8, 3, 4, 53].into_iter().enumerate() {
        let label = format!("lo:{index}");
        ask(inet.as_raw_fd(), libc::SIOCSIFADDR, &named(&label, internet([10, 77, 0, last])))?;
        ask(inet.as_raw_fd(), libc::SIOCSIFNETMASK, &named(&label, internet([255; 4])))?;
    }
    // A kernel without IPv6 makes a pod without it.
    let Ok(inet6) = socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None) else {
        return Ok(());
    };
    for last in [2u16, 3] {
        let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last).octets();
        ask(inet6.as_raw_fd(), libc::SIOCSIFADDR, &Request6 { address, prefix: 128, index: 1 })?;
    }
    Ok(())
}

fn named<T>(name: &str, value: T) -> Request<T> {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Request { name: bytes, value }
}

/// A `struct sockaddr_in`, and what `struct ifreq` has after it.
fn internet(address: [u8; 4]) -> [u8; 24] {
    let mut bytes = [0; 24];
    let family = u16::try_from(libc::AF_INET).unwrap_or_default();
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[4..8].copy_from_slice(&address);
    bytes
}

fn ask<T>(socket: i32, request: libc::Ioctl, argument: &T) -> io::Result<()> {
    // SAFETY: the request reads an argument of this type, which lives until the call returns.
    match unsafe { libc::ioctl(socket, request, std::ptr::from_ref(argument)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
