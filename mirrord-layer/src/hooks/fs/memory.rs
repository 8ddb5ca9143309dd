//! Memory files that stand for files there: the kernel keeps their times, size and mode, their name says the rest.

use std::{
    os::fd::{AsFd, RawFd},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{abi::stat::Identity, engine::work, process::Process};

/// The identity of the file that a descriptor stands for, if it is a memory file of ours on this device.
pub(crate) fn identity(process: &Process, fd: RawFd, device: u64) -> Option<Identity> {
    if process.is_passed() || Some(device) != memory_device() {
        return None;
    }
    work(|| parse(&super::place::path_of(fd)?))
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

/// `/memfd:mirrord:<device>:<inode>:<links>:<uid>:<gid> (deleted)`, numbers in hexadecimal.
fn parse(name: &[u8]) -> Option<Identity> {
    let name = name.strip_prefix(b"/memfd:mirrord:")?;
    let name = std::str::from_utf8(name.strip_suffix(b" (deleted)").unwrap_or(name)).ok()?;
    let mut numbers = name.split(':').map(|digits| u64::from_str_radix(digits, 16).ok());
    let mut next = || numbers.next().flatten();
    Some(Identity {
        device: next()?,
        inode: next()?,
        n_links: next()?,
        uid: u32::try_from(next()?).ok()?,
        gid: u32::try_from(next()?).ok()?,
    })
}
