//! `connect(2)`: by a socket that lives where the destination is reached.

use libc::{c_int, sockaddr, socklen_t};
use mirrord_guest::connect;

use crate::{
    abi::{sockaddr::Address, socket::Socket},
    answer, engine,
    process::Process,
};

pub(crate) unsafe fn connect(
    process: &Process,
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    // SAFETY: the guest's address, under the contract of `connect(2)`.
    let address = unsafe { Address::read(address, length) };
    engine::work(|| connect::connect(process, Socket(fd), address)).map(answer::status)
}
