//! `open(2)` and its family: a file there is a descriptor of the kernel's, on the lowest free number, as here.

use std::{
    ffi::c_char,
    os::fd::{AsRawFd, IntoRawFd, OwnedFd},
};

use libc::{AT_FDCWD, O_CLOEXEC, O_CREAT, O_TMPFILE, O_TRUNC, O_WRONLY, c_int, mode_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{
    GuestPath,
    proxy::{FromProxy, ToProxy},
};

use super::{beneath, way};
use crate::{
    answer::{self, Outcome},
    engine::table::fs::original,
    link,
    process::Process,
};

pub(crate) unsafe fn open(process: &Process, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::open()(path, flags, mode) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, deed(flags), here, |path| number(path, flags, mode)) }
}

pub(crate) unsafe fn openat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::openat()(dir, path, flags, mode) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, deed(flags), here, |path| number(path, flags, mode)) }
}

/// `open` of a fortified program, which knew that no mode is needed.
pub(crate) unsafe fn open_without_mode(process: &Process, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the guest's own arguments; a program that needs a mode does not call this.
    unsafe { open(process, path, flags, 0) }
}

/// `openat` of a fortified program, which knew that no mode is needed.
pub(crate) unsafe fn openat_without_mode(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments; a program that needs a mode does not call this.
    unsafe { openat(process, dir, path, flags, 0) }
}

pub(crate) unsafe fn creat(process: &Process, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    unsafe { open(process, path, O_CREAT | O_WRONLY | O_TRUNC, mode) }
}

/// What opening a file so would do to it.
pub(crate) fn deed(flags: c_int) -> Deed {
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (O_CREAT | O_TRUNC) != 0;
    if writes && flags & libc::O_PATH == 0 { Deed::Write } else { Deed::Read }
}

/// Opens a file there, as the guest's own number.
fn number(path: GuestPath, flags: c_int, mode: mode_t) -> Outcome<c_int> {
    there(path, flags, mode).map(IntoRawFd::into_raw_fd)
}

/// Opens a file there. It closes on exec only if the flags say so.
pub(crate) fn there(path: GuestPath, flags: c_int, mode: mode_t) -> Outcome<OwnedFd> {
    let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode = if creates { without_umask(mode) } else { 0 };
    if creates || flags & O_TRUNC != 0 {
        link::find_room().map_err(|errno| Errno(errno.raw_os_error()))?;
    }
    let folder = if flags & libc::O_DIRECTORY == 0 { Vec::new() } else { path.0.clone() };
    let mut reply = link::ask(&ToProxy::Open { path, flags, mode }).map_err(answer::lost_file)?;
    let file = match &reply.answer {
        FromProxy::Object => reply.take_descriptor().ok_or(Errno(libc::EIO))?,
        FromProxy::Failed(fault) => return Err(answer::from_fault(fault)),
        _ => return Err(Errno(libc::EIO)),
    };
    if flags & libc::O_DIRECTORY != 0 {
        beneath::record_opened(&folder, file.as_raw_fd());
    }
    if flags & O_CLOEXEC == 0 {
        let _ = rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty());
    }
    Ok(file)
}

/// A mode as the process's umask leaves it. Reading it by `umask(2)` would change it under other threads.
pub(crate) fn without_umask(mode: mode_t) -> mode_t {
    const USUAL: mode_t = 0o022;
    let mut status = [0; 256];
    let read = rustix::fs::open("/proc/self/status", rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .and_then(|file| rustix::io::read(file, &mut status));
    let line = status[..read.unwrap_or(0)]
        .split(|byte| *byte == b'\n')
        .find_map(|line| std::str::from_utf8(line.strip_prefix(b"Umask:\t")?).ok());
    let umask = line.and_then(|digits| mode_t::from_str_radix(digits, 8).ok()).unwrap_or(USUAL);
    mode & 0o7777 & !umask
}
