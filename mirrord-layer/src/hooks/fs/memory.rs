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
    work(|| Identity::parse(&super::place::path_of(fd)?))
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
