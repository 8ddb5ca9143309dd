//! Calls that take a name.

pub(crate) mod addrinfo;
pub(crate) mod host;
pub(crate) mod own;
pub(crate) mod resolver;
pub(crate) mod reverse;

use std::{
    ffi::{CStr, c_char, c_int},
    net::IpAddr,
};

use mirrord_core::verdict::Verdict;
use mirrord_protocol::{
    agent::dns::{DnsAnswer, DnsCall, NoAnswer},
    proxy::{FromProxy, ToProxy},
};

use crate::{abi::text, link, process::Process};

unsafe extern "C" {
    fn inet_aton(text: *const c_char, address: *mut libc::in_addr) -> c_int;
    fn __h_errno_location() -> *mut c_int;
}

/// The numbers of `netdb.h` for each way to have no answer: of `getaddrinfo(3)`, and of `h_errno`.
fn numbers(why: NoAnswer) -> (c_int, c_int) {
    match why {
        NoAnswer::NotFound => (libc::EAI_NONAME, 1),
        NoAnswer::NoData => (libc::EAI_NODATA, 4),
        NoAnswer::TryAgain => (libc::EAI_AGAIN, 2),
        NoAnswer::Failed => (libc::EAI_FAIL, 3),
    }
}

fn set_h_errno(why: NoAnswer) {
    // SAFETY: the C library gives every thread a valid place for it.
    let place = unsafe { __h_errno_location() };
    // SAFETY: as above.
    unsafe { *place = numbers(why).1 };
}

/// A name that is to be asked there; nothing for one that stays here, or is an address already.
///
/// # Safety
/// The name is the guest's, and a string if it is not null.
unsafe fn name_there<'a>(process: &Process, name: *const c_char, port: u16) -> Option<&'a str> {
    const MAX_NAME: usize = 255;
    // SAFETY: the caller's duty.
    let bytes = unsafe { text::bytes(name) }?;
    let name = std::str::from_utf8(bytes).ok()?;
    if name.is_empty() || name.len() > MAX_NAME || name.contains(':') || !process.facts.has_target {
        return None;
    }
    let mut address = libc::in_addr { s_addr: 0 };
    // SAFETY: the bytes end with NUL, as `CStr` has found, and the place is ours.
    if unsafe { inet_aton(bytes.as_ptr().cast(), &raw mut address) } != 0 {
        return None;
    }
    matches!(process.rules.dns.decide(name, port), Verdict::Take(())).then_some(name)
}

/// Whether the name of an address is asked there.
fn is_address_there(process: &Process, address: IpAddr) -> bool {
    process.facts.has_target && matches!(process.rules.dns.decide(&address.to_string(), 0), Verdict::Take(()))
}

/// Asks there. To be called within [`crate::engine::work`]: the answer lies in its memory.
fn ask(call: DnsCall) -> Result<DnsAnswer, NoAnswer> {
    let reply = link::ask_patiently(&ToProxy::Dns(call)).map_err(|_| NoAnswer::TryAgain)?;
    match reply.answer {
        FromProxy::Dns(DnsAnswer::None(why)) => Err(why),
        FromProxy::Dns(answer) => Ok(answer),
        _ => Err(NoAnswer::Failed),
    }
}

/// A text of the target's as a C string, cut where it cannot be one.
fn c_text(text: &str) -> std::ffi::CString {
    let clean = text.split('\0').next().unwrap_or_default();
    std::ffi::CString::new(clean).unwrap_or_default()
}

/// The length of a guest's string with its NUL.
fn length_of(text: &CStr) -> usize {
    text.to_bytes_with_nul().len()
}
