//! `stat(2)` and its family, by path; by descriptor only for memory files, which need their identity back.

use std::ffi::{c_char, c_uint};

use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsAnswer, FsCall},
};

use super::{beneath, known, memory, way};
use crate::{
    abi::{self, text},
    answer::Outcome,
    engine::table::fs::original,
    process::Process,
};

/// Asks for a file's attributes there.
pub(crate) fn there(path: GuestPath, follow: bool) -> Outcome<FileStat> {
    match way::ask(FsCall::Stat { path, follow })? {
        FsAnswer::Stat(stat) => Ok(stat),
        _ => Err(Errno(libc::EIO)),
    }
}

/// The same, if nobody has told them of late.
fn known_or_there(path: GuestPath, follow: bool) -> Outcome<FileStat> {
    known::look(&path, follow).unwrap_or_else(|| there(path, follow))
}

/// # Safety
/// `out` has room for a `struct stat`, or is an address that the kernel would refuse.
unsafe fn fill(path: GuestPath, follow: bool, out: *mut libc::stat) -> Outcome<c_int> {
    let told = abi::stat::stat(&known_or_there(path, follow)?);
    // SAFETY: the caller promises room.
    unsafe { text::give_whole(&told, out) }
}

/// The same for a name that was said from a directory.
///
/// # Safety
/// As of [`fill`]; `said` is the guest's path.
unsafe fn fill_beneath(
    (process, dir, said): (&Process, c_int, *const c_char),
    path: GuestPath,
    flags: c_int,
    out: *mut libc::stat,
) -> Outcome<c_int> {
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    // SAFETY: the caller's duty.
    match unsafe { beneath::stat(process, dir, said, follow, out) } {
        Some(outcome) => outcome,
        // SAFETY: as above.
        None => unsafe { fill(path, follow, out) },
    }
}

pub(crate) unsafe fn stat(process: &Process, path: *const c_char, out: *mut libc::stat) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::stat()(path, out) };
    // SAFETY: as above.
    let there = |there| unsafe { fill_beneath((process, AT_FDCWD, path), there, 0, out) };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) };
    // SAFETY: if the call has succeeded, there was a path, and there is room.
    unsafe { mark_at(process, status, AT_FDCWD, path, out) };
    status
}

pub(crate) unsafe fn lstat(process: &Process, path: *const c_char, out: *mut libc::stat) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lstat()(path, out) };
    // SAFETY: as above.
    let there = |there| unsafe { fill_beneath((process, AT_FDCWD, path), there, AT_SYMLINK_NOFOLLOW, out) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn fstatat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    out: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::fstatat()(dir, path, out, flags) };
    // SAFETY: as above.
    let there = |there| unsafe { fill_beneath((process, dir, path), there, flags, out) };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, dir, path, Deed::Read, here, there) };
    if flags & AT_EMPTY_PATH != 0 && status == 0 {
        // SAFETY: the call has succeeded, so there is room.
        unsafe { mark(process, dir, out) };
    } else if flags & AT_SYMLINK_NOFOLLOW == 0 {
        // SAFETY: if the call has succeeded, there was a path, and there is room.
        unsafe { mark_at(process, status, dir, path, out) };
    }
    status
}

pub(crate) unsafe fn fstat(process: &Process, fd: c_int, out: *mut libc::stat) -> c_int {
    // SAFETY: the guest's own arguments.
    let status = unsafe { original::fstat()(fd, out) };
    if status == 0 {
        // SAFETY: the call has succeeded, so there is room.
        unsafe { mark(process, fd, out) };
    }
    status
}

/// # Safety
/// `out` is a `struct stat` of the guest's that has been filled.
unsafe fn mark(process: &Process, fd: c_int, out: *mut libc::stat) {
    // SAFETY: the caller promises it.
    let Some(out) = (unsafe { out.as_mut() }) else { return };
    if let Some(identity) = memory::identity(process, fd, out.st_dev) {
        identity.mark_stat(out);
    }
}

/// The same by a path that may lead to a descriptor.
///
/// # Safety
/// As of [`mark`], if `status` is 0; `path` is then a string of the guest's.
unsafe fn mark_at(process: &Process, status: c_int, dir: c_int, path: *const c_char, out: *mut libc::stat) {
    if status != 0 {
        return;
    }
    // SAFETY: the caller promises it.
    let Some(out) = (unsafe { out.as_mut() }) else { return };
    // SAFETY: as above.
    if let Some(identity) = unsafe { memory::identity_at(process, dir, path, out.st_dev) } {
        identity.mark_stat(out);
    }
}

/// The old spelling of `stat`, with a version of the structure; there is only one on 64-bit machines.
pub(crate) unsafe fn xstat(
    process: &Process,
    version: c_int,
    path: *const c_char,
    out: *mut libc::stat,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::__xstat()(version, path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { fill(path, true, out) };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) };
    // SAFETY: if the call has succeeded, there was a path, and there is room.
    unsafe { mark_at(process, status, AT_FDCWD, path, out) };
    status
}

pub(crate) unsafe fn lxstat(
    process: &Process,
    version: c_int,
    path: *const c_char,
    out: *mut libc::stat,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::__lxstat()(version, path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { fill(path, false, out) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn fxstatat(
    process: &Process,
    version: c_int,
    dir: c_int,
    path: *const c_char,
    out: *mut libc::stat,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::__fxstatat()(version, dir, path, out, flags) };
    // SAFETY: as above.
    let there = |there| unsafe { fill_beneath((process, dir, path), there, flags, out) };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, dir, path, Deed::Read, here, there) };
    if flags & AT_SYMLINK_NOFOLLOW == 0 {
        // SAFETY: if the call has succeeded, there was a path, and there is room.
        unsafe { mark_at(process, status, dir, path, out) };
    }
    status
}

pub(crate) unsafe fn fxstat(process: &Process, version: c_int, fd: c_int, out: *mut libc::stat) -> c_int {
    // SAFETY: the guest's own arguments.
    let status = unsafe { original::__fxstat()(version, fd, out) };
    if status == 0 {
        // SAFETY: the call has succeeded, so there is room.
        unsafe { mark(process, fd, out) };
    }
    status
}

pub(crate) unsafe fn statx(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    out: *mut libc::statx,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::statx()(dir, path, flags, mask, out) };
    let there = |real| {
        // SAFETY: as above.
        if let Some(outcome) = unsafe { beneath::statx(process, dir, path, flags, mask, out) } {
            return outcome;
        }
        let told = abi::stat::statx(&known_or_there(real, flags & AT_SYMLINK_NOFOLLOW == 0)?);
        // SAFETY: as above.
        unsafe { text::give_whole(&told, out) }
    };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, dir, path, Deed::Read, here, there) };
    if status != 0 || flags & AT_SYMLINK_NOFOLLOW != 0 && flags & AT_EMPTY_PATH == 0 {
        return status;
    }
    // SAFETY: the call has succeeded, so the structure is there.
    let Some(out) = (unsafe { out.as_mut() }) else { return status };
    let device = libc::makedev(out.stx_dev_major, out.stx_dev_minor);
    let identity = if flags & AT_EMPTY_PATH != 0 {
        memory::identity(process, dir, device)
    } else {
        // SAFETY: the call has succeeded, so there was a path.
        unsafe { memory::identity_at(process, dir, path, device) }
    };
    if let Some(identity) = identity {
        identity.mark_statx(out);
    }
    status
}
