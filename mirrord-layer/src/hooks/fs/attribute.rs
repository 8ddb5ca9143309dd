//! Extended attributes by path (`xattr(7)`).

use std::ffi::{c_char, c_int, c_void};

use libc::{AT_FDCWD, size_t, ssize_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FsAnswer, FsCall},
};

use super::way;
use crate::{
    abi::text,
    answer::{Answer, Outcome},
    engine::table::fs::original,
    process::Process,
};

/// The largest value that travels; the kernel's own limit (64 KiB) is hardly larger.
const LONGEST: size_t = 60 << 10;

pub(crate) unsafe fn getxattr(
    process: &Process,
    path: *const c_char,
    name: *const c_char,
    value: *mut c_void,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::getxattr()(path, name, value, size) };
    // SAFETY: as above.
    unsafe { get(process, path, name, (value, size), true, here) }
}

pub(crate) unsafe fn lgetxattr(
    process: &Process,
    path: *const c_char,
    name: *const c_char,
    value: *mut c_void,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lgetxattr()(path, name, value, size) };
    // SAFETY: as above.
    unsafe { get(process, path, name, (value, size), false, here) }
}

/// # Safety
/// As of `getxattr(2)`.
unsafe fn get(
    process: &Process,
    path: *const c_char,
    name: *const c_char,
    out: (*mut c_void, size_t),
    follow: bool,
    here: impl Fn(*const c_char) -> ssize_t + Copy,
) -> ssize_t {
    let there = |path| {
        // SAFETY: the caller promises a string.
        let name = unsafe { text::bytes(name) }.ok_or(Errno(libc::EFAULT))?;
        let call = FsCall::GetAttribute { path, name: name.to_vec().into(), follow };
        // SAFETY: the caller promises room.
        unsafe { copy(call, out) }
    };
    // SAFETY: the caller promises a string.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn listxattr(
    process: &Process,
    path: *const c_char,
    list: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::listxattr()(path, list, size) };
    // SAFETY: as above.
    let there = |path| unsafe { copy(FsCall::ListAttributes { path, follow: true }, (list.cast(), size)) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn llistxattr(
    process: &Process,
    path: *const c_char,
    list: *mut c_char,
    size: size_t,
) -> ssize_t {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::llistxattr()(path, list, size) };
    // SAFETY: as above.
    let there = |path| unsafe { copy(FsCall::ListAttributes { path, follow: false }, (list.cast(), size)) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

/// Asks for bytes, and copies them; no room at all asks for their number.
///
/// # Safety
/// `out` has that much room.
pub(super) unsafe fn copy(call: FsCall, out: (*mut c_void, size_t)) -> Outcome<ssize_t> {
    let FsAnswer::Bytes(bytes) = way::ask(call)? else { return Err(Errno(libc::EIO)) };
    let (place, size) = out;
    if size > 0 {
        if bytes.len() > size {
            return Err(Errno(libc::ERANGE));
        }
        // SAFETY: the caller promises room.
        unsafe { text::give(&bytes, place, size) }?;
    }
    Ok(ssize_t::try_from(bytes.len()).unwrap_or(ssize_t::FAILED))
}

pub(crate) unsafe fn setxattr(
    process: &Process,
    path: *const c_char,
    name: *const c_char,
    value: *const c_void,
    size: size_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::setxattr()(path, name, value, size, flags) };
    // SAFETY: as above.
    unsafe { set(process, path, name, (value, size), flags, true, here) }
}

pub(crate) unsafe fn lsetxattr(
    process: &Process,
    path: *const c_char,
    name: *const c_char,
    value: *const c_void,
    size: size_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lsetxattr()(path, name, value, size, flags) };
    // SAFETY: as above.
    unsafe { set(process, path, name, (value, size), flags, false, here) }
}

/// # Safety
/// As of `setxattr(2)`.
unsafe fn set(
    process: &Process,
    path: *const c_char,
    name: *const c_char,
    value: (*const c_void, size_t),
    flags: c_int,
    follow: bool,
    here: impl Fn(*const c_char) -> c_int + Copy,
) -> c_int {
    // SAFETY: as of the caller.
    let there = |path| way::ask_done(unsafe { setting(path, name, value, flags, follow) }?);
    // SAFETY: the caller promises a string.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

/// The call that sets an attribute there.
///
/// # Safety
/// `name` is a string, or an address that the kernel would refuse; `value` has so many bytes.
pub(super) unsafe fn setting(
    path: GuestPath,
    name: *const c_char,
    value: (*const c_void, size_t),
    flags: c_int,
    follow: bool,
) -> Outcome<FsCall> {
    // SAFETY: the caller promises a string.
    let name = unsafe { text::bytes(name) }.ok_or(Errno(libc::EFAULT))?;
    // SAFETY: the caller promises so many bytes.
    let value = unsafe { text::some(value.0, value.1.min(LONGEST + 1)) };
    if value.len() > LONGEST {
        return Err(Errno(libc::ENOSPC));
    }
    let (name, value) = (name.to_vec().into(), value.to_vec().into());
    Ok(FsCall::SetAttribute { path, name, value, flags, follow })
}

pub(crate) unsafe fn removexattr(process: &Process, path: *const c_char, name: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::removexattr()(path, name) };
    // SAFETY: as above.
    let there = |path| unsafe { unset(path, name, true) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn lremovexattr(process: &Process, path: *const c_char, name: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lremovexattr()(path, name) };
    // SAFETY: as above.
    let there = |path| unsafe { unset(path, name, false) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

/// # Safety
/// `name` is a string, or an address that the kernel would refuse.
unsafe fn unset(path: GuestPath, name: *const c_char, follow: bool) -> Outcome<c_int> {
    // SAFETY: the caller promises a string.
    let name = unsafe { text::bytes(name) }.ok_or(Errno(libc::EFAULT))?;
    way::ask_done(FsCall::RemoveAttribute { path, name: name.to_vec().into(), follow })
}
