//! Addresses in a guest's memory.

use mirrord_core::verdict::Errno;
use mirrord_guest::sockaddr::{Address, Encoded};

use super::super::caller::{Caller, Outcome};

/// The bytes of an address; nothing if it cannot be one, or not be read, which the kernel says better.
pub(super) fn read(caller: &Caller<'_>, place: u64, length: u32) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?;
    if place == 0 || !(2..=size_of::<libc::sockaddr_storage>()).contains(&length) {
        return None;
    }
    caller.memory().bytes(place, length).map_err(|why| caller.record_unreadable(why)).ok()
}

/// What they say.
pub(super) fn parse(bytes: &[u8]) -> Address<'_> {
    Address::of(bytes)
}

/// Gives a guest an address as the kernel does: cut to the guest's room, with its full length told.
pub(super) fn give(caller: &Caller<'_>, address: &Encoded, place: u64, room: u64) -> Outcome<()> {
    let memory = caller.memory();
    let n_room: u32 = memory.value(room)?;
    if n_room.cast_signed() < 0 {
        return Err(Errno(libc::EINVAL));
    }
    let bytes = address.bytes();
    let cut = bytes.len().min(usize::try_from(n_room).unwrap_or(0));
    memory.write(place, &bytes[..cut])?;
    memory.write(room, &address.length().to_ne_bytes())
}
