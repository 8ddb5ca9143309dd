//! What a path leads to: `readlink(2)`, `realpath(3)`, `access(2)`.

use std::ffi::{c_char, c_int};

use libc::{AT_EACCESS, AT_FDCWD, AT_SYMLINK_NOFOLLOW, size_t, ssize_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{GuestPath, agent::fs::FsCall};

use super::way;
use crate::{abi::text, answer::Outcome, engine::table::fs::original, process::Process};

pub(crate) unsafe fn readlink(
    process: &Process,
    path: *const c_char,
    out: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::readlink()(path, out, size) };
    // SAFETY: as above.
    let there = |path| unsafe { copy_link(path, out, size) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn readlinkat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    out: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::readlinkat()(dir, path, out, size) };
    // SAFETY: as above.
    let there = |path| unsafe { copy_link(path, out, size) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Read, here, there) }
}

/// `readlink` of a fortified program. One that would overflow is left, to be ended as it should be.
pub(crate) unsafe fn readlink_checked(
    process: &Process,
    path: *const c_char,
    out: *mut c_char,
    size: size_t,
    room: size_t,
) -> ssize_t {
    if size > room {
        // SAFETY: the guest's own arguments.
        return unsafe { original::__readlink_chk()(path, out, size, room) };
    }
    // SAFETY: as above.
    unsafe { readlink(process, path, out, size) }
}

/// `readlinkat` of a fortified program.
pub(crate) unsafe fn readlinkat_checked(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    out: *mut c_char,
    size: size_t,
    room: size_t,
) -> ssize_t {
    if size > room {
        // SAFETY: the guest's own arguments.
        return unsafe { original::__readlinkat_chk()(dir, path, out, size, room) };
    }
    // SAFETY: as above.
    unsafe { readlinkat(process, dir, path, out, size) }
}

/// # Safety
/// `out` has room for `size` bytes.
unsafe fn copy_link(path: GuestPath, out: *mut c_char, size: size_t) -> Outcome<ssize_t> {
    if size == 0 {
        return Err(Errno(libc::EINVAL));
    }
    let text = way::ask_path(FsCall::ReadLink(path))?;
    // SAFETY: the caller promises room.
    let length = unsafe { text::give(&text, out.cast(), size) }?;
    Ok(length.try_into().unwrap_or(ssize_t::MAX))
}

pub(crate) unsafe fn realpath(process: &Process, path: *const c_char, out: *mut c_char) -> *mut c_char {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::realpath()(path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { copy_real(path, out) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

/// `realpath` of a fortified program.
pub(crate) unsafe fn realpath_checked(
    process: &Process,
    path: *const c_char,
    out: *mut c_char,
    room: size_t,
) -> *mut c_char {
    const LONGEST: size_t = 4096;
    if room < LONGEST {
        // SAFETY: the guest's own arguments; the C library ends a program that leaves so little room.
        return unsafe { original::__realpath_chk()(path, out, room) };
    }
    // SAFETY: as above.
    unsafe { realpath(process, path, out) }
}

pub(crate) unsafe fn canonicalize(process: &Process, path: *const c_char) -> *mut c_char {
    // SAFETY: the guest's own arguments.
    unsafe { realpath(process, path, std::ptr::null_mut()) }
}

/// # Safety
/// `out` is null, or has room for the longest path.
unsafe fn copy_real(path: GuestPath, out: *mut c_char) -> Outcome<*mut c_char> {
    const LONGEST: usize = 4096;
    let real = way::ask_path(FsCall::Canonicalize(path))?;
    if real.len() >= LONGEST {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    // SAFETY: the caller promises room.
    unsafe { text::copy_or_allocate(&real, out, LONGEST) }
}

pub(crate) unsafe fn access(process: &Process, path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::access()(path, mode) };
    // SAFETY: as above.
    unsafe {
        way::follow(process, AT_FDCWD, path, access_deed(mode), here, |path| may_access(path, mode, true))
    }
}

/// `eaccess(3)`: by the effective user, as the target's user is there in any case.
pub(crate) unsafe fn eaccess(process: &Process, path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::faccessat()(AT_FDCWD, path, mode, AT_EACCESS) };
    // SAFETY: as above.
    unsafe {
        way::follow(process, AT_FDCWD, path, access_deed(mode), here, |path| may_access(path, mode, true))
    }
}

pub(crate) unsafe fn faccessat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    mode: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::faccessat()(dir, path, mode, flags) };
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    let there = |path| may_access(path, mode, follow);
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, access_deed(mode), here, there) }
}

fn may_access(path: GuestPath, mode: c_int, follow: bool) -> Outcome<c_int> {
    way::ask_done(FsCall::Access { path, mode, follow })
}

/// Asking whether one may write is asked where one would.
fn access_deed(mode: c_int) -> Deed {
    if mode & libc::W_OK != 0 { Deed::Write } else { Deed::Read }
}
