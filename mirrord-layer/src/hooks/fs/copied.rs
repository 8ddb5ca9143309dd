//! Calls on descriptors that are copies in memory: what they ask of a file, and change of it, is the file's there.

use std::ffi::{c_char, c_int, c_void};

use libc::{gid_t, mode_t, size_t, ssize_t, timespec, timeval, uid_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno, way::permit_change};
use mirrord_protocol::{GuestPath, agent::fs::FsCall};

use super::{attribute, mark, memory, stat, system, way};
use crate::{
    abi::{self, stat::permissions, text},
    answer::{self, Answer, Outcome},
    arena::Scope,
    engine::{caught, table::fs::original},
    process::Process,
};

/// What is asked there of the file that a descriptor stands for; nothing if it is no copy of one.
fn ask<T: Copy>(
    process: &Process,
    fd: c_int,
    deed: Deed,
    question: impl FnOnce(GuestPath) -> Outcome<T>,
) -> Option<Outcome<T>> {
    if !memory::may_be_one(process, fd) {
        return None;
    }
    let _scope = Scope::enter();
    caught(|| {
        let (identity, path) = memory::file_of(fd)?;
        Some((|| {
            if deed == Deed::Write {
                permit_change(&process.rules.fs, &process.here(), path.as_bytes())?;
            }
            // A file that was opened may be elsewhere by now, and another one in its place.
            match stat::there(path.clone(), false) {
                Ok(told) if identity.is_of(&told) => question(path),
                Ok(_) | Err(Errno::ENOENT) => Err(Errno(libc::ESTALE)),
                Err(errno) => Err(errno),
            }
        })())
    })
}

/// Changes the file that a descriptor stands for; or runs the call, if it is no copy.
pub(super) fn change(
    process: &Process,
    fd: c_int,
    here: impl Fn() -> c_int,
    call: impl FnOnce(GuestPath) -> Outcome<FsCall>,
) -> c_int {
    ask(process, fd, Deed::Write, |path| way::ask_done(call(path)?)).map_or_else(here, answer::give)
}

/// As [`change`], and the copy says it afterwards, too.
pub(super) fn mark(
    process: &Process,
    fd: c_int,
    here: impl Fn() -> c_int,
    call: impl FnOnce(GuestPath) -> Outcome<FsCall>,
) -> c_int {
    match ask(process, fd, Deed::Write, |path| way::ask_done(call(path)?)) {
        None => here(),
        Some(Ok(answer)) => {
            // One that is somebody else's says what it said.
            let errno = answer::errno();
            here();
            answer::set_errno(errno);
            answer
        }
        Some(failed) => answer::give(failed),
    }
}

/// Asks the file that a descriptor stands for; or runs the call, if it is no copy.
fn look<T: Answer>(
    process: &Process,
    fd: c_int,
    here: impl Fn() -> T,
    there: impl FnOnce(GuestPath) -> Outcome<T>,
) -> T {
    ask(process, fd, Deed::Read, there).map_or_else(here, answer::give)
}

pub(crate) unsafe fn fchmod(process: &Process, fd: c_int, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fchmod()(fd, mode) };
    mark(process, fd, here, |path| Ok(FsCall::ChangeMode { path, mode: permissions(mode), follow: false }))
}

pub(crate) unsafe fn fchown(process: &Process, fd: c_int, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fchown()(fd, uid, gid) };
    change(process, fd, here, |path| Ok(FsCall::ChangeOwner { path, uid, gid, follow: false }))
}

pub(crate) unsafe fn futimens(process: &Process, fd: c_int, times: *const timespec) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::futimens()(fd, times) };
    // SAFETY: as above.
    let call = |path| Ok(FsCall::SetTimes { path, times: unsafe { mark::moments(times) }?, follow: false });
    mark(process, fd, here, call)
}

pub(crate) unsafe fn futimes(process: &Process, fd: c_int, times: *const timeval) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::futimes()(fd, times) };
    let call = |path| {
        // SAFETY: as above.
        let times = unsafe { mark::from_microseconds(times) }?;
        Ok(FsCall::SetTimes { path, times, follow: false })
    };
    mark(process, fd, here, call)
}

pub(crate) unsafe fn fsetxattr(
    process: &Process,
    fd: c_int,
    name: *const c_char,
    value: *const c_void,
    size: size_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fsetxattr()(fd, name, value, size, flags) };
    // SAFETY: as above.
    let call = |path| unsafe { attribute::setting(path, name, (value, size), flags, false) };
    change(process, fd, here, call)
}

pub(crate) unsafe fn fremovexattr(process: &Process, fd: c_int, name: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fremovexattr()(fd, name) };
    let call = |path| {
        // SAFETY: as above.
        let name = unsafe { text::bytes(name) }.ok_or(Errno(libc::EFAULT))?;
        Ok(FsCall::RemoveAttribute { path, name: name.to_vec().into(), follow: false })
    };
    change(process, fd, here, call)
}

pub(crate) unsafe fn fgetxattr(
    process: &Process,
    fd: c_int,
    name: *const c_char,
    value: *mut c_void,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fgetxattr()(fd, name, value, size) };
    let there = |path| {
        // SAFETY: as above.
        let name = unsafe { text::bytes(name) }.ok_or(Errno(libc::EFAULT))?;
        let call = FsCall::GetAttribute { path, name: name.to_vec().into(), follow: false };
        // SAFETY: as above.
        unsafe { attribute::copy(call, (value, size)) }
    };
    look(process, fd, here, there)
}

pub(crate) unsafe fn flistxattr(process: &Process, fd: c_int, list: *mut c_char, size: size_t) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::flistxattr()(fd, list, size) };
    let there = |path| {
        let call = FsCall::ListAttributes { path, follow: false };
        // SAFETY: as above.
        unsafe { attribute::copy(call, (list.cast(), size)) }
    };
    look(process, fd, here, there)
}

pub(crate) unsafe fn fstatfs(process: &Process, fd: c_int, out: *mut libc::statfs) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fstatfs()(fd, out) };
    // SAFETY: as above.
    look(process, fd, here, |path| unsafe { text::give_whole(&abi::stat::statfs(&system::ask(path)?), out) })
}

pub(crate) unsafe fn fstatvfs(process: &Process, fd: c_int, out: *mut libc::statvfs) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = || unsafe { original::fstatvfs()(fd, out) };
    // SAFETY: as above.
    look(process, fd, here, |path| unsafe { text::give_whole(&abi::stat::statvfs(&system::ask(path)?), out) })
}

/// Whether a call with a path means the descriptor itself, of which it says nothing more.
///
/// # Safety
/// `path` is a string, or an address that the kernel would refuse.
pub(super) unsafe fn is_meant(path: *const c_char, flags: c_int) -> bool {
    // SAFETY: the caller promises a string.
    flags & libc::AT_EMPTY_PATH != 0 && unsafe { text::bytes(path) } == Some(b"")
}
