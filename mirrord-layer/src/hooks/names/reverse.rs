//! `gethostbyaddr(3)` and `getnameinfo(3)`: the name of an address.

use std::{
    ffi::{c_char, c_int, c_void},
    net::IpAddr,
    ptr::null_mut,
};

use libc::{hostent, size_t, sockaddr, socklen_t};
use mirrord_core::addr;
use mirrord_protocol::agent::dns::{DnsAnswer, DnsCall, NoAnswer};

use super::{
    ask, c_text,
    host::{Missing, tell, tell_static},
    is_address_there, length_of, numbers,
};
use crate::{
    abi::{
        hostent::{Host, read_address, write_host},
        sockaddr::Address,
    },
    engine::{self, table::names::original},
    process::Process,
};

pub(crate) unsafe fn gethostbyaddr(
    process: &Process,
    address: *const c_void,
    length: socklen_t,
    family: c_int,
) -> Option<*mut hostent> {
    // SAFETY: the guest's address, under the contract of `gethostbyaddr(3)`.
    let address = unsafe { read_address(address, length, family) }?;
    engine::work(|| {
        is_address_there(process, address)
            .then(|| tell_static(&|room, size| by_address(address, family, room, size)))
    })
}

#[expect(clippy::too_many_arguments, reason = "the C library's signature")]
pub(crate) unsafe fn gethostbyaddr_r(
    process: &Process,
    address: *const c_void,
    length: socklen_t,
    family: c_int,
    host: *mut hostent,
    room: *mut c_char,
    size: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> Option<c_int> {
    // SAFETY: the guest's address, under the contract of `gethostbyaddr_r(3)`.
    let address = unsafe { read_address(address, length, family) }?;
    let outcome =
        engine::work(|| is_address_there(process, address).then(|| by_address(address, family, room, size)))?;
    // SAFETY: the guest's places, under the same contract.
    Some(unsafe { tell(outcome, host, found, error) })
}

fn by_address(address: IpAddr, family: c_int, room: *mut c_char, size: size_t) -> Result<hostent, Missing> {
    let names = names(address).map_err(Missing::NoAnswer)?;
    let (name, aliases) = names.split_first().ok_or(Missing::NoAnswer(NoAnswer::NotFound))?;
    let host = Host { name, aliases, family, addresses: &[address] };
    // SAFETY: the room is the guest's, or the one of `tell_static`.
    unsafe { write_host(&host, room, size) }.map_err(Missing::Errno)
}

fn names(address: IpAddr) -> Result<Vec<String>, NoAnswer> {
    match ask(DnsCall::Reverse(address.to_canonical()))? {
        DnsAnswer::Names(names) => Ok(names),
        _ => Err(NoAnswer::Failed),
    }
}

#[expect(clippy::too_many_arguments, reason = "the C library's signature")]
pub(crate) unsafe fn getnameinfo(
    process: &Process,
    address: *const sockaddr,
    length: socklen_t,
    host: *mut c_char,
    host_room: socklen_t,
    service: *mut c_char,
    service_room: socklen_t,
    flags: c_int,
) -> Option<c_int> {
    let room = usize::try_from(host_room).unwrap_or(0);
    if host.is_null() || room == 0 || flags & libc::NI_NUMERICHOST != 0 {
        return None;
    }
    // SAFETY: the guest's address, under the contract of `getnameinfo(3)`.
    let Address::Inet(asked) = (unsafe { Address::read(address, length) }) else { return None };
    let ip = addr::plain(asked).ip();
    let named = engine::work(|| {
        // SAFETY: the guest's place for the name has that much room.
        is_address_there(process, ip).then(|| unsafe { write_name(ip, host, room) })
    })?;
    let rest = match named {
        // SAFETY: the guest's own arguments, but for the name, which is written.
        Ok(()) => unsafe {
            original::getnameinfo()(address, length, null_mut(), 0, service, service_room, flags)
        },
        Err(libc::EAI_OVERFLOW) => libc::EAI_OVERFLOW,
        Err(error) if flags & libc::NI_NAMEREQD != 0 => error,
        // SAFETY: the guest's own arguments: an address without a name is told as a number.
        Err(_) => unsafe {
            let numeric = flags | libc::NI_NUMERICHOST;
            original::getnameinfo()(address, length, host, host_room, service, service_room, numeric)
        },
    };
    // Without a service there is nothing left to be told.
    let is_done = named.is_ok() && (service.is_null() || service_room == 0);
    Some(if is_done { 0 } else { rest })
}

unsafe fn write_name(ip: IpAddr, host: *mut c_char, room: usize) -> Result<(), c_int> {
    let names = names(ip).map_err(|why| match why {
        NoAnswer::NoData => libc::EAI_NONAME,
        _ => numbers(why).0,
    })?;
    let name = c_text(names.first().ok_or(libc::EAI_NONAME)?);
    if length_of(&name) > room {
        return Err(libc::EAI_OVERFLOW);
    }
    // SAFETY: the caller's place has room for the name and its NUL.
    unsafe { host.copy_from_nonoverlapping(name.as_ptr(), length_of(&name)) };
    Ok(())
}
