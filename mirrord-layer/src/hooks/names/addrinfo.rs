//! `getaddrinfo(3)`.

use std::{ffi::c_char, net::IpAddr};

use libc::{addrinfo, c_int};
use mirrord_protocol::agent::dns::{DnsAnswer, DnsCall, Family, NoAnswer};

use super::{ask, c_text, name_there, numbers};
use crate::{
    abi::{
        addrinfo::{List, Plans},
        text,
    },
    engine,
    process::Process,
};

pub(crate) unsafe fn getaddrinfo(
    process: &Process,
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> Option<c_int> {
    // SAFETY: the guest gives hints or null.
    let hints = unsafe { hints.as_ref() };
    let (flags, family) = hints.map_or((0, libc::AF_UNSPEC), |hints| (hints.ai_flags, hints.ai_family));
    let is_known = matches!(family, libc::AF_UNSPEC | libc::AF_INET | libc::AF_INET6);
    if flags & libc::AI_NUMERICHOST != 0 || !is_known {
        return None;
    }
    // SAFETY: the guest's strings, under the contract of `getaddrinfo(3)`.
    let port = unsafe { port(service) };
    // SAFETY: as above.
    let name = unsafe { name_there(process, name, port) }?;
    // SAFETY: as above.
    let plans = match unsafe { Plans::of(service, hints) } {
        Ok(plans) => plans,
        Err(error) => return Some(error),
    };
    match engine::work(|| list(process, name, family, flags, &plans)) {
        Ok(list) => {
            // SAFETY: the guest gives a place for the list.
            unsafe { *found = list.give() };
            Some(0)
        }
        Err(error) => Some(error),
    }
}

/// The port, if the service is a number: a filter may name it.
unsafe fn port(service: *const c_char) -> u16 {
    // SAFETY: the caller gives the guest's service.
    let service = unsafe { text::bytes(service) };
    service.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}

fn list(process: &Process, name: &str, family: c_int, flags: c_int, plans: &Plans) -> Result<List, c_int> {
    let (canonical, addresses) = resolve(process, name, family, flags).map_err(|why| numbers(why).0)?;
    let mut list = List::new();
    for address in addresses {
        for plan in plans.all() {
            list.push(address, plan, flags).ok_or(libc::EAI_MEMORY)?;
        }
    }
    if list.is_empty() {
        return Err(libc::EAI_NODATA);
    }
    if flags & libc::AI_CANONNAME != 0 {
        list.name(&c_text(canonical.as_deref().unwrap_or(name)));
    }
    Ok(list)
}

type Resolved = (Option<String>, Vec<IpAddr>);

/// The addresses that are wanted. IPv4 ones stand in for IPv6 ones where the guest asks for that.
fn resolve(process: &Process, name: &str, family: c_int, flags: c_int) -> Result<Resolved, NoAnswer> {
    let wanted = match family {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        // A socket for them could not be made.
        _ if !process.rules.ipv6 => Family::V4,
        _ => Family::Any,
    };
    let first = resolve_family(name, wanted);
    if wanted != Family::V6 || flags & libc::AI_V4MAPPED == 0 || (first.is_ok() && flags & libc::AI_ALL == 0)
    {
        return first;
    }
    let mapped = resolve_family(name, Family::V4).map(|(canonical, addresses)| (canonical, map(addresses)));
    match (first, mapped) {
        (Ok((canonical, mut addresses)), Ok((_, more))) => {
            addresses.extend(more);
            Ok((canonical, addresses))
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(why), Err(_)) => Err(why),
    }
}

fn map(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let map = |address| match address {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    addresses.into_iter().map(map).collect()
}

/// The addresses of one family, or of both.
pub(super) fn resolve_family(name: &str, family: Family) -> Result<Resolved, NoAnswer> {
    match ask(DnsCall::Resolve { name: name.to_owned(), family })? {
        DnsAnswer::Addresses { canonical, mut addresses } => {
            addresses.retain(|address| match family {
                Family::Any => true,
                Family::V4 => address.is_ipv4(),
                Family::V6 => address.is_ipv6(),
            });
            if addresses.is_empty() { Err(NoAnswer::NoData) } else { Ok((canonical, addresses)) }
        }
        _ => Err(NoAnswer::Failed),
    }
}
