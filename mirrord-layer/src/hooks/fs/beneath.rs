//! Names in a folder there that the guest has open: the kernel says of them what the agent would, without a question.
//!
//! Only where everybody may search the folder, so that it does not matter who looks; where owners have the same numbers
//! here and there; and never through a link, which leads elsewhere here than there.
//!
//! A path is such a name, too, if its folder is open. That a number was once a folder's is only a hint: whether it is, and
//! still lies there, the kernel says each time.

use std::{
    ffi::{c_char, c_int, c_uint},
    os::fd::RawFd,
    sync::atomic::{AtomicU64, Ordering},
};

use libc::{AT_SYMLINK_NOFOLLOW, S_IFLNK, S_IFMT};
use mirrord_core::{path, verdict::Errno, way};

use super::place;
use crate::{
    abi::{kernel, text},
    answer::Outcome,
    process::Process,
};

/// Folders that were opened lately: the number, below as much of their path's hash.
static OPENED: [AtomicU64; 16] = [const { AtomicU64::new(u64::MAX) }; 16];

/// Notes that a folder there was opened by this path.
pub(super) fn record_opened(path: &[u8], fd: RawFd) {
    let hash = hash(path);
    let number = u64::from(fd.cast_unsigned());
    opened(hash).store(hash << 32 | number, Ordering::Relaxed);
}

fn opened(hash: u64) -> &'static AtomicU64 {
    &OPENED[usize::try_from(hash % 16).unwrap_or(0)]
}

/// 32 bits of a path (FNV-1a).
fn hash(path: &[u8]) -> u64 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    path.iter().fold(0x811c_9dc5_u32, step).into()
}

/// `fstatat(2)` of a name there; nothing if it must be asked.
///
/// # Safety
/// `said` is the guest's path, and `out` its room.
pub(super) unsafe fn stat(
    process: &Process,
    dir: c_int,
    said: *const c_char,
    follow: bool,
    out: *mut libc::stat,
) -> Option<Outcome<c_int>> {
    // SAFETY: the caller's duty.
    let (folder, name) = unsafe { find(process, dir, said) }?;
    // SAFETY: a structure of integers.
    let mut told: libc::stat = unsafe { std::mem::zeroed() };
    let place = (&raw mut told).expose_provenance();
    let arguments = [folder, name, place, kernel::int(AT_SYMLINK_NOFOLLOW), 0, 0];
    // SAFETY: the name is the end of the guest's path, and the place ours.
    match look(unsafe { kernel::call(libc::SYS_newfstatat, arguments) })? {
        Ok(()) if follow && told.st_mode & S_IFMT == S_IFLNK => None,
        // SAFETY: the caller promises room.
        Ok(()) => Some(unsafe { text::give_whole(&told, out) }),
        Err(errno) => Some(Err(errno)),
    }
}

/// `statx(2)` of a name there; nothing if it must be asked.
///
/// # Safety
/// As of [`stat`].
pub(super) unsafe fn statx(
    process: &Process,
    dir: c_int,
    said: *const c_char,
    flags: c_int,
    mask: c_uint,
    out: *mut libc::statx,
) -> Option<Outcome<c_int>> {
    // SAFETY: the caller's duty.
    let (folder, name) = unsafe { find(process, dir, said) }?;
    // SAFETY: a structure of integers.
    let mut told: libc::statx = unsafe { std::mem::zeroed() };
    let place = (&raw mut told).expose_provenance();
    // Whether it is a link must be known, too.
    let wanted = usize::try_from(mask | libc::STATX_TYPE).unwrap_or(0);
    let arguments = [folder, name, kernel::int(flags | AT_SYMLINK_NOFOLLOW), wanted, place, 0];
    // SAFETY: the name is the end of the guest's path, and the place ours.
    match look(unsafe { kernel::call(libc::SYS_statx, arguments) })? {
        Ok(()) if flags & AT_SYMLINK_NOFOLLOW == 0 && u32::from(told.stx_mode) & S_IFMT == S_IFLNK => None,
        // SAFETY: the caller promises room.
        Ok(()) => Some(unsafe { text::give_whole(&told, out) }),
        Err(errno) => Some(Err(errno)),
    }
}

/// What is not there is known, too; other errors are not.
fn look(outcome: Outcome<usize>) -> Option<Outcome<()>> {
    match outcome {
        Ok(_) => Some(Ok(())),
        Err(errno @ Errno::ENOENT) => Some(Err(errno)),
        Err(_) => None,
    }
}

/// The folder in which a name is to be looked for, and where the name stands, if the kernel may be believed.
///
/// # Safety
/// `said` is the guest's path.
unsafe fn find(process: &Process, dir: c_int, said: *const c_char) -> Option<(usize, usize)> {
    if !process.facts.looks_alike {
        return None;
    }
    let mapping = &process.rules.fs.mapping;
    // SAFETY: the caller's duty.
    let path = unsafe { text::bytes(said) }?;
    if !path.starts_with(b"/") {
        if !way::is_one_name(path) {
            return None;
        }
        let folder = place::of(process, dir).filter(|it| it.there)?.path;
        let folder = folder.strip_suffix(b"/").unwrap_or(&folder);
        let is_mapped = !mapping.is_empty() && mapping.is_match(&[folder, b"/", path].concat());
        let is_right = !is_mapped && place::is_open_to_all(dir);
        return is_right.then(|| (kernel::int(dir), said.addr()));
    }
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    let folder = &path[..slash];
    let known = opened(hash(folder)).load(Ordering::Relaxed);
    if known >> 32 != hash(folder)
        || mapping.is_match(path)
        || !path::is_plain(path)
        || !way::is_one_name(&path[slash + 1..])
    {
        return None;
    }
    let number = c_int::try_from(known & 0xFFFF_FFFF).ok()?;
    let lies_there = place::of_descriptor(process, number).is_some_and(|it| it.there && it.path == folder);
    let is_right = lies_there && place::is_open_to_all(number);
    is_right.then(|| (kernel::int(number), said.addr() + slash + 1))
}
