//! What every process of the guest receives: the settings, and the page of ports.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::atomic::AtomicU64,
};

use mirrord_config::handoff::Handoff;
use mirrord_protocol::proxy::sockets::{CHANGES, PORT_PAGE, SHARED};
use rustix::{
    fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create, open},
    mm::{MapFlags, ProtFlags, mmap},
};

/// Memory that layers read.
#[derive(Debug)]
pub(crate) struct Settings {
    handoff: OwnedFd,
    ports: PortPage,
}

impl Settings {
    /// Writes the settings down, and seals them.
    pub(crate) fn new(handoff: &Handoff) -> io::Result<Self> {
        let bytes = handoff.encode().map_err(io::Error::other)?;
        let memory = memfd_create("mirrord:settings", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        write_all_at(&memory, &bytes, 0)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&memory, seals)?;
        Ok(Self { handoff: memory, ports: PortPage::new()? })
    }

    /// Both, in the order in which they ride along with a welcome.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.handoff.as_fd(), self.ports.readable.as_fd()]
    }

    /// The page of ports.
    pub(crate) fn ports(&self) -> &PortPage {
        &self.ports
    }
}

/// A bit for each TCP port on which the session listens here.
#[derive(Debug)]
pub(crate) struct PortPage {
    memory: OwnedFd,
    readable: OwnedFd,
}

impl PortPage {
    fn new() -> io::Result<Self> {
        let memory = memfd_create("mirrord:ports", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memory, SHARED as u64)?;
        fcntl_add_seals(&memory, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let readable = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { memory, readable })
    }

    /// The count of changes behind it, in memory that stays mapped for as long as this proxy lives.
    pub(crate) fn changes(&self) -> io::Result<Changes> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a fresh mapping replaces nothing.
        let start = unsafe { mmap(std::ptr::null_mut(), SHARED, protection, flags, &self.memory, 0) }?;
        // SAFETY: the mapping is that long.
        let place = unsafe { start.byte_add(CHANGES) };
        // SAFETY: the place is aligned, stays mapped, and is only counted up.
        Ok(Changes(unsafe { &*place.cast::<AtomicU64>() }))
    }

    /// Shows exactly the ports of these addresses.
    pub(crate) fn show(&self, listeners: impl Iterator<Item = SocketAddr>) -> io::Result<()> {
        let mut page = [0; PORT_PAGE];
        for bound in listeners {
            let port = usize::from(bound.port());
            page[port / 8] |= 1 << (port % 8);
        }
        write_all_at(&self.memory, &page, 0)
    }
}

/// How often the session has changed a file, where guests see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes(&'static AtomicU64);

impl Changes {
    /// The count itself.
    pub(crate) fn count(self) -> &'static AtomicU64 {
        self.0
    }
}

/// Writes all bytes at an offset.
pub(crate) fn write_all_at(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n_written = rustix::io::pwrite(file.as_fd(), bytes, offset)?;
        offset += n_written as u64;
        bytes = &bytes[n_written..];
    }
    Ok(())
}
