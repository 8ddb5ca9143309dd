//! The memory of a guest: what its pointers point to, read and written as far as it is the guest's own.

use std::{fs::File, os::unix::fs::FileExt};

use mirrord_core::verdict::Errno;

/// The longest path, with the NUL behind it (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The smallest pages of all machines: what begins on one may end on it.
const PAGE: u64 = 4096;

/// The most that is read or written at once.
pub(super) const MOST: usize = 1 << 20;

const FAULT: Errno = Errno(libc::EFAULT);

/// The process lets nobody look into its memory.
pub(super) const CLOSED: Errno = Errno(libc::EPERM);

/// The memory of a thread's process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(pub(super) i32);

impl Memory {
    /// Reads exactly so many bytes.
    pub(super) fn read(self, from: u64, room: &mut [u8]) -> Result<(), Errno> {
        if self.read_some(from, room)? == room.len() { Ok(()) } else { Err(FAULT) }
    }

    /// Reads exactly so many bytes into memory of its own.
    pub(super) fn bytes(self, from: u64, length: usize) -> Result<Vec<u8>, Errno> {
        if length > MOST {
            return Err(Errno(libc::EINVAL));
        }
        let mut bytes = vec![0; length];
        self.read(from, &mut bytes).map(|()| bytes)
    }

    /// Reads a structure of integers.
    pub(super) fn value<T: Plain>(self, from: u64) -> Result<T, Errno> {
        let mut value = T::zeroed();
        self.read(from, value.as_bytes_mut())?;
        Ok(value)
    }

    /// Reads a string, without its NUL; one that is too long for a path is told so.
    pub(super) fn path(self, from: u64) -> Result<Vec<u8>, Errno> {
        let mut path = Vec::with_capacity(256);
        while path.len() < MAX_PATH {
            let at = from.checked_add(path.len() as u64).ok_or(FAULT)?;
            // What lies behind a string's end may not be there.
            let on_page = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
            let mut piece = [0; 256];
            let wanted = on_page.min(piece.len());
            let n_read = self.read_some(at, &mut piece[..wanted])?;
            if n_read == 0 {
                return Err(FAULT);
            }
            match piece[..n_read].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    path.extend_from_slice(&piece[..end]);
                    return Ok(path);
                }
                None => path.extend_from_slice(&piece[..n_read]),
            }
        }
        Err(Errno(libc::ENAMETOOLONG))
    }

    fn read_some(self, from: u64, room: &mut [u8]) -> Result<usize, Errno> {
        if room.is_empty() {
            return Ok(0);
        }
        let theirs = remote(from, room.len());
        let ours = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: ours is writable and as long as it says; theirs the kernel checks.
        let n_read = unsafe { libc::process_vm_readv(self.0, &raw const ours, 1, &raw const theirs, 1, 0) };
        match usize::try_from(n_read) {
            Ok(n_read) => Ok(n_read),
            Err(_) if is_forbidden() => self.file()?.read_at(room, from).map_err(|_| FAULT),
            Err(_) => Err(FAULT),
        }
    }

    /// Writes bytes, all or none that matter.
    pub(super) fn write(self, to: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        let theirs = remote(to, bytes.len());
        let ours = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: ours is readable and as long as it says; theirs the kernel checks.
        let n_written =
            unsafe { libc::process_vm_writev(self.0, &raw const ours, 1, &raw const theirs, 1, 0) };
        match usize::try_from(n_written) {
            Ok(n_written) if n_written == bytes.len() => Ok(()),
            Err(_) if is_forbidden() => self.file()?.write_all_at(bytes, to).map_err(|_| FAULT),
            _ => Err(FAULT),
        }
    }

    /// The other way to the same memory. A write by it would pass by the protection of pages, so it comes second.
    fn file(self) -> Result<File, Errno> {
        File::options().read(true).write(true).open(format!("/proc/{}/mem", self.0)).map_err(|_| CLOSED)
    }
}

fn remote(at: u64, length: usize) -> libc::iovec {
    let address = usize::try_from(at).unwrap_or(usize::MAX);
    libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: length }
}

fn is_forbidden() -> bool {
    matches!(nix::errno::Errno::last_raw(), libc::EPERM | libc::ENOSYS)
}

/// A structure of integers, without holes that matter: any bytes are one.
///
/// # Safety
/// Every pattern of bits is a value.
pub(super) unsafe trait Plain: Sized {
    /// All zeroes.
    fn zeroed() -> Self {
        // SAFETY: the implementor promises that zeroes are a value.
        unsafe { std::mem::zeroed() }
    }

    /// Its bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the structure is as long as it is, and lives as long as the slice.
        unsafe { std::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }

    /// Its bytes, to be written.
    fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; and the implementor promises that whatever is written is a value.
        unsafe { std::slice::from_raw_parts_mut((&raw mut *self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: made of integers.
unsafe impl Plain for libc::stat {}
// SAFETY: made of integers.
unsafe impl Plain for libc::statx {}
// SAFETY: made of integers.
unsafe impl Plain for libc::statfs {}
// SAFETY: made of integers.
unsafe impl Plain for libc::utsname {}
// SAFETY: made of integers.
unsafe impl Plain for libc::timespec {}
// SAFETY: made of integers.
unsafe impl Plain for libc::timeval {}
// SAFETY: made of integers.
unsafe impl Plain for libc::utimbuf {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}
// SAFETY: integers.
unsafe impl Plain for [libc::timespec; 2] {}
// SAFETY: integers.
unsafe impl Plain for [libc::timeval; 2] {}
// SAFETY: integers.
unsafe impl Plain for [u64; 3] {}
// SAFETY: integers.
unsafe impl Plain for [u64; 7] {}
// SAFETY: integers.
unsafe impl Plain for [u64; 2] {}
