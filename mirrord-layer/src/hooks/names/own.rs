//! `gethostname(2)` and `uname(2)`: the host's own name is the target's.

use std::ffi::{c_char, c_int};

use libc::{size_t, utsname};
use mirrord_core::verdict::Errno;

use crate::{abi::is_plausible, answer, engine::table::names::original, process::Process};

pub(crate) unsafe fn gethostname(process: &Process, place: *mut c_char, room: size_t) -> Option<c_int> {
    let name = name(process)?;
    if !is_plausible(place) {
        return None;
    }
    // SAFETY: the guest's place has that much room.
    unsafe { write(name, place, room) };
    let fits = name.len() < room;
    Some(answer::status(if fits { Ok(()) } else { Err(Errno(libc::ENAMETOOLONG)) }))
}

/// The spelling of programs that were compiled with `_FORTIFY_SOURCE`.
pub(crate) unsafe fn gethostname_checked(
    process: &Process,
    place: *mut c_char,
    room: size_t,
    real_room: size_t,
) -> Option<c_int> {
    if room > real_room {
        // The original ends the program.
        return None;
    }
    // SAFETY: the guest's own arguments.
    unsafe { gethostname(process, place, room) }
}

pub(crate) unsafe fn uname(process: &Process, place: *mut utsname) -> Option<c_int> {
    let name = name(process)?;
    // SAFETY: the guest's own argument.
    let status = unsafe { original::uname()(place) };
    if status == 0 {
        // SAFETY: the kernel has just written to the guest's place.
        let node = unsafe { &raw mut (*place).nodename };
        // SAFETY: the place of the name has its own size.
        unsafe { write(name, node.cast(), size_of::<[c_char; 65]>()) };
    }
    Some(status)
}

fn name(process: &Process) -> Option<&[u8]> {
    let name = process.facts.hostname.as_bytes();
    (process.rules.hostname && process.facts.has_target && !name.is_empty()).then_some(name)
}

/// Writes a name, cut to its room, with a NUL behind it where there is room for one.
unsafe fn write(name: &[u8], place: *mut c_char, room: usize) {
    let n_bytes = name.len().min(room);
    // SAFETY: the caller's place has that much room.
    unsafe { place.cast::<u8>().copy_from_nonoverlapping(name.as_ptr(), n_bytes) };
    if n_bytes < room {
        // SAFETY: as above.
        unsafe { place.wrapping_add(n_bytes).write(0) };
    }
}
