//! `struct hostent`: a host, written into a room that the guest gives, or into one of ours.

use std::{ffi::c_char, net::IpAddr, ptr::null_mut};

use libc::{c_int, hostent};
use mirrord_core::verdict::Errno;

use crate::answer::Outcome;

/// A host as it is to be written.
pub(crate) struct Host<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its other names.
    pub(crate) aliases: &'a [String],
    /// `AF_INET` or `AF_INET6`.
    pub(crate) family: c_int,
    /// Its addresses, all of that family.
    pub(crate) addresses: &'a [IpAddr],
}

/// Memory that is filled from its start.
struct Room {
    next: *mut u8,
    left: usize,
}

impl Room {
    fn take(&mut self, size: usize, align: usize) -> Outcome<*mut u8> {
        let padding = self.next.align_offset(align);
        let needed = padding.checked_add(size).filter(|needed| *needed <= self.left);
        let needed = needed.ok_or(Errno(libc::ERANGE))?;
        let place = self.next.wrapping_add(padding);
        (self.next, self.left) = (self.next.wrapping_add(needed), self.left - needed);
        Ok(place)
    }

    fn put(&mut self, bytes: &[u8], align: usize) -> Outcome<*mut c_char> {
        let place = self.take(bytes.len(), align)?;
        // SAFETY: `take` has found room for so many bytes.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(place.cast())
    }

    fn put_text(&mut self, text: &str) -> Outcome<*mut c_char> {
        let place = self.take(text.len() + 1, 1)?;
        // SAFETY: `take` has found room for the text and its NUL.
        unsafe { place.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        // SAFETY: as above.
        unsafe { place.wrapping_add(text.len()).write(0) };
        Ok(place.cast())
    }

    fn put_list(&mut self, n_items: usize) -> Outcome<List> {
        let size = (n_items + 1) * size_of::<*mut c_char>();
        #[expect(clippy::cast_ptr_alignment, reason = "the place was taken with this alignment")]
        let first = self.take(size, align_of::<*mut c_char>())?.cast::<*mut c_char>();
        // SAFETY: there is room for the items and the null behind them.
        unsafe { first.wrapping_add(n_items).write(null_mut()) };
        Ok(List { first, n_items: 0 })
    }
}

/// A list of pointers that ends with null.
struct List {
    first: *mut *mut c_char,
    n_items: usize,
}

impl List {
    fn push(&mut self, item: *mut c_char) {
        // SAFETY: the list was made for so many items.
        unsafe { self.first.wrapping_add(self.n_items).write(item) };
        self.n_items += 1;
    }
}

/// Writes a host, with all that it points to, into a room. One that is too small is out of range (`ERANGE`).
///
/// # Safety
/// The room is writable, and nobody reads it meanwhile.
pub(crate) unsafe fn write_host(host: &Host<'_>, room: *mut c_char, size: usize) -> Outcome<hostent> {
    const ALIGN: usize = 4;
    let mut room = Room { next: room.cast(), left: size };
    let mut addresses = room.put_list(host.addresses.len())?;
    let mut aliases = room.put_list(host.aliases.len())?;
    for address in host.addresses {
        let place = match address {
            IpAddr::V4(ip) => room.put(&ip.octets(), ALIGN),
            IpAddr::V6(ip) => room.put(&ip.octets(), ALIGN),
        }?;
        addresses.push(place);
    }
    for alias in host.aliases {
        aliases.push(room.put_text(alias)?);
    }
    Ok(hostent {
        h_name: room.put_text(host.name)?,
        h_aliases: aliases.first,
        h_addrtype: host.family,
        h_length: if host.family == libc::AF_INET { 4 } else { 16 },
        h_addr_list: addresses.first,
    })
}

/// An address as `gethostbyaddr(3)` takes it.
///
/// # Safety
/// The pointer is the guest's, under the contract of that function.
pub(crate) unsafe fn read_address(
    address: *const libc::c_void,
    length: u32,
    family: c_int,
) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    match (family, length) {
        (libc::AF_INET, 4..) => {
            // SAFETY: the guest gives four bytes.
            let bytes: [u8; 4] = unsafe { address.cast::<[u8; 4]>().read_unaligned() };
            Some(IpAddr::from(bytes))
        }
        (libc::AF_INET6, 16..) => {
            // SAFETY: the guest gives sixteen bytes.
            let bytes: [u8; 16] = unsafe { address.cast::<[u8; 16]>().read_unaligned() };
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}
