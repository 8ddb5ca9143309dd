//! `bind(2)`: listeners stay here, on the port that the guest asked for if it is free.

use libc::{c_int, sockaddr, socklen_t};
use mirrord_guest::bind;

use crate::{
    abi::{sockaddr::Address, socket::Socket},
    answer, engine,
    process::Process,
};

pub(crate) unsafe fn bind(
    process: &Process,
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    // SAFETY: the guest's address, under the contract of `bind(2)`.
    let Address::Inet(requested) = (unsafe { Address::read(address, length) }) else { return None };
    engine::work(|| bind::bind(process, Socket(fd), requested)).map(answer::status)
}
