//! `bind(2)`: listeners stay here, on the port that the guest asked for if it is free; a path may be one there.

use libc::{c_int, sockaddr, socklen_t};
use mirrord_core::rules::fs::Deed;
use mirrord_guest::bind;

use crate::{
    abi::{sockaddr::Address, socket::Socket},
    answer::{self, Outcome},
    engine,
    hooks::fs::{
        open,
        way::{self, Way},
    },
    process::Process,
};

pub(crate) unsafe fn bind(
    process: &Process,
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    // SAFETY: the guest's address, under the contract of `bind(2)`.
    let address = unsafe { Address::read(address, length) };
    let socket = Socket(fd);
    let bound = engine::work(|| match address {
        Address::Inet(requested) => bind::bind(process, socket, requested),
        Address::Unix(name) => bind_path(process, socket, name),
        Address::Other => None,
    });
    bound.map(answer::status)
}

/// A unix socket gets the path that it asks for, if that is one there.
fn bind_path(process: &Process, socket: Socket, name: &[u8]) -> Option<Outcome<()>> {
    const MODE: libc::mode_t = 0o777;
    let path = bind::path_of(process, name)?;
    match way::find(process, libc::AT_FDCWD, path, Deed::Write) {
        Way::There(path) => Some(bind::bind_there(process, socket, path, open::without_umask(MODE))),
        Way::Refused(errno) => Some(Err(errno)),
        Way::Here | Way::HereAt(_) => None,
    }
}
