//! `getsockopt(SO_ERROR)` of relayed streams: the far side's errno.

use std::os::fd::RawFd;

use libc::{c_int, c_void, socklen_t};
use mirrord_core::rules::address::Protocol;
use mirrord_guest::{World, relay};

use crate::{
    abi::{is_plausible, socket::Socket},
    process::Process,
};

pub(crate) unsafe fn getsockopt(
    process: &Process,
    fd: RawFd,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> Option<c_int> {
    if (level, name) != (libc::SOL_SOCKET, libc::SO_ERROR) || !process.may_relay() {
        return None;
    }
    let socket = Socket(fd);
    if !is_plausible(value) || !is_plausible(length) || socket.transport()? != Protocol::Tcp {
        return None;
    }
    let error = relay::connect_error(process, socket)?;
    // SAFETY: the guest gives a readable length.
    let room = usize::try_from(unsafe { length.read_unaligned() }).unwrap_or(0).min(size_of::<c_int>());
    // SAFETY: the guest's place has that much room.
    unsafe { value.cast::<u8>().copy_from_nonoverlapping(error.to_ne_bytes().as_ptr(), room) };
    // SAFETY: the guest gives a writable length.
    unsafe { length.write_unaligned(socklen_t::try_from(room).unwrap_or(0)) };
    Some(0)
}
