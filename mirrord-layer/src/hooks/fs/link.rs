//! What a path leads to: `readlink(2)`, `realpath(3)`, `access(2)`.

use std::{
    ffi::{c_char, c_int},
    os::fd::AsRawFd,
};

use libc::{AT_EACCESS, AT_FDCWD, AT_SYMLINK_NOFOLLOW, size_t, ssize_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{GuestPath, agent::fs::FsCall};

use super::{memory, place, way};
use crate::{
    abi::{stat::Identity, text},
    answer::{self, Outcome},
    engine::{caught, table::fs::original, work},
    process::Process,
};

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
    let length = unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) };
    // SAFETY: as above; the kernel has written that much.
    unsafe { reveal(process, (AT_FDCWD, path), (out, size), length) }
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
    let length = unsafe { way::follow(process, dir, path, Deed::Read, here, there) };
    // SAFETY: as above; the kernel has written that much.
    unsafe { reveal(process, (dir, path), (out, size), length) }
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

/// Gives the path there in the place of the name of a memory file, which the kernel has told.
///
/// # Safety
/// If `length` is not negative, `said` is a string of the guest's, and as many bytes of `out` have been written.
unsafe fn reveal(
    process: &Process,
    (dir, said): (c_int, *const c_char),
    (out, size): (*mut c_char, size_t),
    length: ssize_t,
) -> ssize_t {
    let Some(told) = usize::try_from(length).ok().filter(|_| !process.is_passed()) else { return length };
    let n_compared = told.min(Identity::MARK.len());
    // SAFETY: the caller promises it.
    let beginning = unsafe { std::slice::from_raw_parts(out.cast_const().cast::<u8>(), n_compared) };
    if told == 0 || beginning != &Identity::MARK[..n_compared] {
        return length;
    }
    work(|| {
        // SAFETY: the caller promises it.
        let (_, path) = memory::file_of(unsafe { place::find(dir, said) }?.as_raw_fd())?;
        // SAFETY: the caller promises room for what was told; the rest is checked.
        let given = unsafe { text::give(path.as_bytes(), out.cast(), size) }.ok()?;
        (!path.as_bytes().is_empty()).then(|| given.try_into().unwrap_or(length))
    })
    .unwrap_or(length)
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
    let real = unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) };
    if !real.is_null() || answer::errno() != Errno(libc::ENOENT) {
        return real;
    }
    // It may have led to a descriptor of a file there, whose path is none here.
    // SAFETY: the call has read the path, and has room.
    let shown = work(|| caught(|| unsafe { copy_shown(process, path, out) }));
    shown.unwrap_or_else(|| answer::give(Err(Errno(libc::ENOENT))))
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

/// The same for a path that leads to a descriptor.
///
/// # Safety
/// As of [`copy_real`]; `said` is a string of the guest's.
unsafe fn copy_shown(process: &Process, said: *const c_char, out: *mut c_char) -> Option<*mut c_char> {
    // SAFETY: the caller promises it.
    let file = unsafe { place::find(AT_FDCWD, said) }?;
    let path = if let Some((_, path)) = memory::file_of(file.as_raw_fd()) {
        path
    } else {
        let place = place::of_file(process, file.as_raw_fd(), |_| true).filter(|place| place.there)?;
        GuestPath::from(place.path.as_slice())
    };
    // SAFETY: the caller promises it.
    unsafe { copy_real(path, out) }.ok()
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
