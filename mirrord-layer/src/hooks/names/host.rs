//! `gethostbyname(3)` and its family.

use std::{
    cell::UnsafeCell,
    ffi::{c_char, c_int},
    ptr::null_mut,
};

use libc::{hostent, size_t};
use mirrord_core::verdict::Errno;
use mirrord_protocol::agent::dns::{Family, NoAnswer};

use super::{addrinfo::resolve_family, name_there, numbers, set_h_errno};
use crate::{
    abi::hostent::{Host, write_host},
    answer::{self, Outcome},
    engine,
    process::Process,
};

/// Why there is no host to tell.
pub(super) enum Missing {
    /// There is none.
    NoAnswer(NoAnswer),
    /// It does not fit.
    Errno(Errno),
}

/// Writes a host into a room, or finds none.
pub(super) type Writer<'a> = dyn Fn(*mut c_char, size_t) -> Result<hostent, Missing> + 'a;

pub(crate) unsafe fn gethostbyname(process: &Process, name: *const c_char) -> Option<*mut hostent> {
    // SAFETY: the guest's own argument.
    unsafe { gethostbyname2(process, name, libc::AF_INET) }
}

pub(crate) unsafe fn gethostbyname2(
    process: &Process,
    name: *const c_char,
    family: c_int,
) -> Option<*mut hostent> {
    // SAFETY: the guest's name, under the contract of `gethostbyname2(3)`.
    let name = unsafe { name_there(process, name, 0) }.filter(|_| is_known(family))?;
    Some(engine::work(|| tell_static(&|room, size| by_name(name, family, room, size))))
}

pub(crate) unsafe fn gethostbyname_r(
    process: &Process,
    name: *const c_char,
    host: *mut hostent,
    room: *mut c_char,
    size: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    unsafe { gethostbyname2_r(process, name, libc::AF_INET, host, room, size, found, error) }
}

#[expect(clippy::too_many_arguments, reason = "the C library's signature")]
pub(crate) unsafe fn gethostbyname2_r(
    process: &Process,
    name: *const c_char,
    family: c_int,
    host: *mut hostent,
    room: *mut c_char,
    size: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> Option<c_int> {
    // SAFETY: the guest's name, under the contract of `gethostbyname2_r(3)`.
    let name = unsafe { name_there(process, name, 0) }.filter(|_| is_known(family))?;
    let outcome = engine::work(|| by_name(name, family, room, size));
    // SAFETY: the guest's places, under the same contract.
    Some(unsafe { tell(outcome, host, found, error) })
}

fn is_known(family: c_int) -> bool {
    matches!(family, libc::AF_INET | libc::AF_INET6)
}

fn by_name(name: &str, family: c_int, room: *mut c_char, size: size_t) -> Result<hostent, Missing> {
    let wanted = if family == libc::AF_INET { Family::V4 } else { Family::V6 };
    let (canonical, addresses) = resolve_family(name, wanted).map_err(Missing::NoAnswer)?;
    let official = canonical.as_deref().unwrap_or(name);
    // What the search list has completed is no other name.
    let is_alias = !official.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let aliases = [name.to_owned()];
    let host = Host {
        name: official,
        aliases: if is_alias { &aliases } else { &[] },
        family,
        addresses: &addresses,
    };
    // SAFETY: the room is the guest's, or the one of `tell_static`.
    unsafe { write_host(&host, room, size) }.map_err(Missing::Errno)
}

/// The answer of a function that writes where the guest says.
#[expect(clippy::needless_pass_by_value, reason = "its host is the guest's from now on")]
pub(super) unsafe fn tell(
    outcome: Result<hostent, Missing>,
    host: *mut hostent,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let (place, status) = match outcome {
        Ok(written) => {
            // SAFETY: the guest gives a place for a host.
            unsafe { host.write(written) };
            (host, 0)
        }
        Err(Missing::Errno(errno)) => (null_mut(), errno.0),
        Err(Missing::NoAnswer(why)) => {
            // SAFETY: the guest gives a place for the number.
            unsafe { error.write(numbers(why).1) };
            set_h_errno(why);
            // What is not there is no failure of the call.
            (null_mut(), if why == NoAnswer::TryAgain { libc::EAGAIN } else { 0 })
        }
    };
    // SAFETY: the guest gives a place for the pointer.
    unsafe { found.write(place) };
    status
}

/// The answer of a function that writes where it likes, until it is called again (`gethostbyname(3)`).
pub(super) fn tell_static(write: &Writer<'_>) -> *mut hostent {
    const SIZE: usize = 16 << 10;
    struct Shared<T>(UnsafeCell<T>);
    // SAFETY: these functions are not for several threads at once, and say so.
    unsafe impl<T> Sync for Shared<T> {}
    static ROOM: Shared<[u8; SIZE]> = Shared(UnsafeCell::new([0; SIZE]));
    static HOST: Shared<hostent> = Shared(UnsafeCell::new(hostent {
        h_name: null_mut(),
        h_aliases: null_mut(),
        h_addrtype: 0,
        h_length: 0,
        h_addr_list: null_mut(),
    }));
    match write(ROOM.0.get().cast(), SIZE) {
        Ok(written) => {
            // SAFETY: the place is ours.
            unsafe { HOST.0.get().write(written) };
            HOST.0.get()
        }
        Err(Missing::NoAnswer(why)) => {
            set_h_errno(why);
            null_mut()
        }
        Err(Missing::Errno(errno)) => {
            let outcome: Outcome<*mut hostent> = Err(errno);
            set_h_errno(NoAnswer::Failed);
            answer::pointer(outcome)
        }
    }
}
