//! Memory files that stand for files there: the kernel keeps their times, size and mode, their name says the rest.

use std::{
    ffi::c_char,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::atomic::{AtomicU64, Ordering},
};

use super::place;
use crate::{abi::stat::Identity, engine::work, process::Process};
use mirrord_protocol::GuestPath;

/// The identity of the file that a descriptor stands for, if it is a memory file of ours on this device.
pub(crate) fn identity(process: &Process, fd: RawFd, device: u64) -> Option<Identity> {
    if process.is_passed() || Some(device) != memory_device() {
        return None;
    }
    work(|| Some(Identity::parse(&place::path_of(fd)?)?.0))
}

/// The same for a path that leads to a descriptor, as the kernel shows them: `/proc/self/fd/7`, `/dev/stdin`.
///
/// # Safety
/// `path` is a string of the guest's that the kernel has read.
pub(crate) unsafe fn identity_at(
    process: &Process,
    dir: RawFd,
    path: *const c_char,
    device: u64,
) -> Option<Identity> {
    if process.is_passed() || Some(device) != memory_device() {
        return None;
    }
    // SAFETY: the caller promises it.
    work(|| Some(file_of(unsafe { place::find(dir, path) }?.as_raw_fd())?.0))
}

/// Whether a descriptor may be a memory file of ours; a quick look.
pub(crate) fn may_be_one(process: &Process, fd: RawFd) -> bool {
    if process.is_passed() || fd < 0 {
        return false;
    }
    // SAFETY: the number is only asked about, and the kernel checks it.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let device = rustix::fs::fstat(fd).ok().map(|stat| stat.st_dev);
    device.is_some_and(|device| memory_device().is_none_or(|known| known == device))
}

/// The file that a descriptor stands for, and its path there; empty if that is not known. Allocates.
pub(crate) fn file_of(fd: RawFd) -> Option<(Identity, GuestPath)> {
    let name = place::path_of(fd)?;
    let (identity, path) = Identity::parse(&name)?;
    Some((identity, GuestPath::from(path)))
}

/// The device of memory files: one for the whole machine.
fn memory_device() -> Option<u64> {
    static DEVICE: AtomicU64 = AtomicU64::new(0);
    match DEVICE.load(Ordering::Relaxed) {
        0 => {
            let file = rustix::fs::memfd_create("mirrord", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
            let device = rustix::fs::fstat(file.as_fd()).ok()?.st_dev;
            DEVICE.store(device, Ordering::Relaxed);
            Some(device)
        }
        known => Some(known),
    }
}
