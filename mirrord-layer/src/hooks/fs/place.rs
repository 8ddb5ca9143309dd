//! Where a directory lies, which the kernel tells: a working directory or descriptor, here or there, and its path.

use std::{
    ffi::{CStr, c_char},
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    sync::atomic::{AtomicU64, Ordering},
};

use libc::{AT_FDCWD, c_int};
use mirrord_core::way;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};

use crate::process::Process;

pub(crate) use mirrord_core::way::Place;

/// The directory of a `*at` call. Nothing if it is none, which the kernel says better.
pub(crate) fn of(process: &Process, dir: c_int) -> Option<Place> {
    if dir == AT_FDCWD { working_directory(process) } else { of_descriptor(process, dir) }
}

/// Folders here, open for `*at` calls, beneath which everything stays: by what the kernel says of them, so that asking
/// it once a call is enough. One that is renamed stays here all the same.
static KEEPING: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Whether a folder is known to keep all that lies beneath it.
pub(crate) fn is_known_to_keep(dir: c_int) -> bool {
    identity(dir).is_some_and(|known| keeping(known).load(Ordering::Relaxed) == known)
}

/// Takes note of a folder here that keeps all that lies beneath it.
pub(crate) fn record_keeping(dir: c_int) {
    if let Some(identity) = identity(dir) {
        keeping(identity).store(identity, Ordering::Relaxed);
    }
}

fn keeping(identity: u64) -> &'static AtomicU64 {
    &KEEPING[usize::try_from(identity >> 58).unwrap_or(0)]
}

/// A number by which the kernel's directories are told apart; never 0.
fn identity(dir: c_int) -> Option<u64> {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    if dir < 0 {
        return None;
    }
    // SAFETY: the number is only asked about, and the kernel checks it.
    let fd = unsafe { BorrowedFd::borrow_raw(dir) };
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | StatxFlags::INO).ok()?;
    let device = libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
    let parts = [stat.stx_ino, device, stat.stx_mnt_id];
    Some(parts.iter().fold(1, |hash: u64, part| (hash.rotate_left(23) ^ part).wrapping_mul(SPREAD)) | 1)
}

/// The working directory. The kernel puts `(unreachable)` before one on a mount that is not ours.
pub(crate) fn working_directory(process: &Process) -> Option<Place> {
    let path = rustix::process::getcwd(Vec::new()).ok()?.into_bytes();
    let prefix = &process.facts.path_prefix;
    Some(match path.strip_prefix(b"(unreachable)") {
        Some(path) => way::place(prefix, true, path.to_vec()),
        None => way::place(prefix, false, path),
    })
}

/// The directory behind a descriptor.
pub(crate) fn of_descriptor(process: &Process, dir: RawFd) -> Option<Place> {
    of_file(process, dir, |kind| kind == FileType::Directory)
}

/// The file behind a descriptor, if it is of a kind that is wanted.
pub(crate) fn of_file(
    process: &Process,
    number: RawFd,
    is_wanted: impl Fn(FileType) -> bool,
) -> Option<Place> {
    if number < 0 {
        return None;
    }
    // SAFETY: the number is only asked about, and the kernel checks it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let asked = StatxFlags::MNT_ID | StatxFlags::TYPE;
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, asked).ok()?;
    if !is_wanted(FileType::from_raw_mode(u32::from(stat.stx_mode))) {
        return None;
    }
    let path = path_of(number)?;
    let knows_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    let is_foreign = knows_mount && is_foreign_mount(stat.stx_mnt_id);
    Some(way::place(&process.facts.path_prefix, is_foreign, path))
}

/// Whether everybody may search a directory.
pub(crate) fn is_open_to_all(dir: c_int) -> bool {
    if dir < 0 && dir != AT_FDCWD {
        return false;
    }
    // SAFETY: the number is only asked about, and the kernel checks it; or it is the working directory's.
    let fd = unsafe { BorrowedFd::borrow_raw(dir) };
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MODE);
    stat.is_ok_and(|stat| way::is_open_to_all(stat.stx_mode.into()))
}

/// A descriptor of what a path leads to here, only to be asked about.
///
/// # Safety
/// `path` is a string of the guest's that the kernel has read.
pub(crate) unsafe fn find(dir: RawFd, path: *const c_char) -> Option<OwnedFd> {
    // SAFETY: the caller promises it.
    let path = unsafe { CStr::from_ptr(path) };
    // SAFETY: the number is only asked about, and the kernel checks it; or it is the working directory's.
    let dir = unsafe { BorrowedFd::borrow_raw(dir) };
    rustix::fs::openat(dir, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// What the kernel says of a descriptor: the path of its file, as it would be seen from its mounts.
pub(crate) fn path_of(fd: RawFd) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{fd}");
    rustix::fs::readlink(link.as_str(), Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// Whether a mount is none of this process's own. What was found is kept: the kernel's numbers are rarely reused.
fn is_foreign_mount(mount: u64) -> bool {
    const N_KEPT: usize = 64;
    static KEPT: [AtomicU64; N_KEPT] = [const { AtomicU64::new(0) }; N_KEPT];
    let place = &KEPT[usize::try_from(mount).unwrap_or(0) % N_KEPT];
    let known = place.load(Ordering::Relaxed);
    if known >> 1 == mount && known != 0 {
        return known & 1 == 1;
    }
    // A process that cannot read its mounts has no reason to believe that one is not its own.
    let is_foreign = own_mounts().is_some_and(|mounts| !is_listed(&mounts, mount));
    place.store((mount << 1) | u64::from(is_foreign), Ordering::Relaxed);
    is_foreign
}

fn own_mounts() -> Option<Vec<u8>> {
    let file =
        rustix::fs::open("/proc/self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = Vec::with_capacity(16 << 10);
    loop {
        text.reserve(4 << 10);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => return Some(text),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Whether a line of `proc_pid_mountinfo(5)` begins with this number.
fn is_listed(mounts: &[u8], mount: u64) -> bool {
    let number = mount.to_string();
    let begins =
        |line: &[u8]| line.strip_prefix(number.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '));
    mounts.split(|byte| *byte == b'\n').any(begins)
}
