//! `fopen(3)` and `freopen(3)`: streams of descriptors.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    mem::ManuallyDrop,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use libc::{
    AT_FDCWD, FILE, O_APPEND, O_CLOEXEC, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, mode_t,
};
use mirrord_core::verdict::Errno;
use mirrord_protocol::GuestPath;
use rustix::io::DupFlags;

use super::{open, way};
use crate::{
    abi::text,
    answer::{self, Outcome},
    engine::table::fs::original,
    process::Process,
};

/// The mode of a file that a stream makes, before the umask.
const MADE: mode_t = 0o666;

pub(crate) unsafe fn fopen(process: &Process, path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::fopen()(path, mode) };
    // SAFETY: the guest's own argument.
    let Some(flags) = (unsafe { flags(mode) }) else { return here(path) };
    let there = |path| {
        let file = open::there(path, flags, MADE)?;
        // SAFETY: the descriptor is open, and the stream's from now on; the mode is the guest's.
        let stream = unsafe { libc::fdopen(file.as_raw_fd(), mode) };
        if stream.is_null() {
            return Err(answer::errno());
        }
        std::mem::forget(file);
        Ok(stream)
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, open::deed(flags), here, there) }
}

pub(crate) unsafe fn freopen(
    process: &Process,
    path: *const c_char,
    mode: *const c_char,
    stream: *mut FILE,
) -> *mut FILE {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::freopen()(path, mode, stream) };
    // SAFETY: the guest's own argument.
    let Some(flags) = (unsafe { flags(mode) }) else { return here(path) };
    // SAFETY: as above.
    let there = |path| unsafe { reopen(path, flags, mode, stream) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, open::deed(flags), here, there) }
}

/// Lets the C library reopen the stream on nothing, and puts the file there under it. If there is none, the stream is
/// closed, as `freopen(3)` says.
///
/// # Safety
/// `mode` is a string, and `stream` a stream.
unsafe fn reopen(
    path: GuestPath,
    flags: c_int,
    mode: *const c_char,
    stream: *mut FILE,
) -> Outcome<*mut FILE> {
    let file = open::there(path, flags, MADE);
    // SAFETY: the caller promises a string.
    let mode = without_exclusion(unsafe { CStr::from_ptr(mode) });
    let nothing = if file.is_ok() { c"/dev/null" } else { c"/dev/null/none" };
    // SAFETY: the caller promises the stream.
    let stream = unsafe { original::freopen()(nothing.as_ptr(), mode.as_ptr(), stream) };
    let file = file?;
    if stream.is_null() {
        return Err(answer::errno());
    }
    // SAFETY: the stream was just opened.
    let number = unsafe { libc::fileno(stream) };
    place_under(&file, number, flags)?;
    Ok(stream)
}

/// Replaces the file of a descriptor that somebody else owns.
fn place_under(file: &OwnedFd, number: c_int, flags: c_int) -> Outcome<()> {
    let closes = if flags & O_CLOEXEC == 0 { DupFlags::empty() } else { DupFlags::CLOEXEC };
    if number < 0 {
        return Err(Errno(libc::EBADF));
    }
    // SAFETY: the number is open; what is made here to name it is never dropped.
    let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    rustix::io::dup3(file, &mut target, closes).map_err(|error| Errno(error.raw_os_error()))
}

/// A mode without `x`: the file has been made, and what is reopened exists.
fn without_exclusion(mode: &CStr) -> CString {
    let letters = mode.to_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
    CString::new(letters.iter().copied().filter(|byte| *byte != b'x').collect::<Vec<u8>>())
        .unwrap_or_default()
}

/// What a stream's mode says to `open(2)`. Nothing for one that the C library refuses.
///
/// # Safety
/// `mode` is null or a string.
unsafe fn flags(mode: *const c_char) -> Option<c_int> {
    // SAFETY: the caller promises a string.
    let mode = unsafe { text::bytes(mode) }?;
    let letters = mode.split(|byte| *byte == b',').next()?;
    let (kind, rest) = letters.split_first()?;
    let has = |letter| rest.contains(&letter);
    let creates = match kind {
        b'r' => 0,
        b'w' => O_CREAT | O_TRUNC,
        b'a' => O_CREAT | O_APPEND,
        _ => return None,
    };
    let access = match (kind, has(b'+')) {
        (_, true) => O_RDWR,
        (b'r', false) => O_RDONLY,
        (_, false) => O_WRONLY,
    };
    let exclusive = if has(b'x') { O_EXCL } else { 0 };
    let closes = if has(b'e') { O_CLOEXEC } else { 0 };
    Some(creates | access | exclusive | closes)
}
