//! `getsockname(2)` and `getpeername(2)`: the addresses that a socket would have if it were where it seems to be.

use libc::{c_int, sockaddr, socklen_t};
use mirrord_guest::name::{self, Whose};

use crate::{
    abi::{is_plausible, socket::Socket},
    process::Process,
};

pub(crate) unsafe fn getsockname(
    process: &Process,
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<c_int> {
    // SAFETY: the guest's places, under the contract of `getsockname(2)`.
    unsafe { answer(process, Socket(fd), address, length, Whose::Own) }
}

pub(crate) unsafe fn getpeername(
    process: &Process,
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<c_int> {
    // SAFETY: the guest's places, under the contract of `getpeername(2)`.
    unsafe { answer(process, Socket(fd), address, length, Whose::Peers) }
}

unsafe fn answer(
    process: &Process,
    socket: Socket,
    address: *mut sockaddr,
    length: *mut socklen_t,
    whose: Whose,
) -> Option<c_int> {
    if !is_plausible(address) || !is_plausible(length) {
        return None;
    }
    let told = name::address(process, socket, whose)?;
    // SAFETY: the caller's duty.
    unsafe { told.give(address, length) };
    Some(0)
}
