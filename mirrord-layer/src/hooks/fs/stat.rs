//! `stat(2)` and its family, by path; by descriptor only for memory files, which need their identity back.

use std::ffi::{c_char, c_uint};

use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsAnswer, FsCall},
};

use super::{memory, way};
use crate::{abi, answer::Outcome, engine::table::fs::original, process::Process};

/// Asks for a file's attributes there.
pub(crate) fn there(path: GuestPath, follow: bool) -> Outcome<FileStat> {
    match way::ask(FsCall::Stat { path, follow })? {
        FsAnswer::Stat(stat) => Ok(stat),
        _ => Err(Errno(libc::EIO)),
    }
}

/// # Safety
/// `out` is null, or has room for a `struct stat`.
unsafe fn fill(path: GuestPath, follow: bool, out: *mut libc::stat) -> Outcome<c_int> {
    let told = abi::stat::stat(&there(path, follow)?);
    if out.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller promises room.
    unsafe { out.write(told) };
    Ok(0)
}

pub(crate) unsafe fn stat(process: &Process, path: *const c_char, out: *mut libc::stat) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::stat()(path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { fill(path, true, out) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn lstat(process: &Process, path: *const c_char, out: *mut libc::stat) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lstat()(path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { fill(path, false, out) };
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
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    // SAFETY: as above.
    let there = |path| unsafe { fill(path, follow, out) };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, dir, path, Deed::Read, here, there) };
    if flags & AT_EMPTY_PATH != 0 && status == 0 {
        // SAFETY: the call has succeeded, so there is room.
        unsafe { mark(process, dir, out) };
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
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
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
    let there = |path| unsafe { fill(path, flags & AT_SYMLINK_NOFOLLOW == 0, out) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Read, here, there) }
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
    let there = |path| {
        let told = abi::stat::statx(&there(path, flags & AT_SYMLINK_NOFOLLOW == 0)?);
        if out.is_null() {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: the guest promises room for the structure.
        unsafe { out.write(told) };
        Ok(0)
    };
    // SAFETY: as above.
    let status = unsafe { way::follow(process, dir, path, Deed::Read, here, there) };
    if flags & AT_EMPTY_PATH != 0 && status == 0 {
        // SAFETY: the call has succeeded, so the structure is there.
        let Some(out) = (unsafe { out.as_mut() }) else { return status };
        let device = libc::makedev(out.stx_dev_major, out.stx_dev_minor);
        if let Some(identity) = memory::identity(process, dir, device) {
            identity.mark_statx(out);
        }
    }
    status
}
