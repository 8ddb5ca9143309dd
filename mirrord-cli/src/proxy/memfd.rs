//! Small files as memory: all bytes are here before the guest has its descriptor.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, Time},
};
use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, Timespec, Timestamps, fchmod, fcntl_add_seals, futimens,
    memfd_create, open,
};

use super::settings::write_all_at;

/// How many copies are kept.
const MOST_COPIES: usize = 64;

/// How many bytes are kept.
const MOST_BYTES: usize = 64 << 20;

/// Copies that were made. Opens of the same file share one, so that the locks of one open are seen by the others.
#[derive(Debug, Default)]
pub(crate) struct Copies(Mutex<VecDeque<Copy>>);

#[derive(Debug)]
struct Copy {
    identity: Identity,
    memory: OwnedFd,
    length: usize,
}

/// A file that has not changed.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    modified: Time,
    changed: Time,
    size: u64,
}

impl Copies {
    /// An open copy of a file: the one that there is, or a fresh one, of this [`name`].
    pub(crate) fn open(&self, bytes: &[u8], stat: &FileStat, name: &[u8]) -> io::Result<OwnedFd> {
        let FileStat { device, inode, modified, changed, size, .. } = *stat;
        let identity = Identity { device, inode, modified, changed, size };
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = copies.iter().position(|copy| copy.identity == identity)
            && let Some(known) = copies.remove(index)
            && known.holds(bytes)
            && let Ok(readable) = reopen(&known.memory)
        {
            copies.push_back(known);
            return Ok(readable);
        }
        let (memory, readable) = copy(bytes, stat, name)?;
        copies.push_back(Copy { identity, memory, length: bytes.len() });
        while copies.len() > MOST_COPIES || copies.iter().map(|copy| copy.length).sum::<usize>() > MOST_BYTES
        {
            copies.pop_front();
        }
        Ok(readable)
    }
}

impl Copy {
    /// Whether these are its bytes: of a file of `proc(5)` the attributes say nothing.
    fn holds(&self, bytes: &[u8]) -> bool {
        let mut piece = vec![0; bytes.len().min(64 << 10)];
        self.length == bytes.len()
            && bytes.chunks(64 << 10).zip(0_u64..).all(|(expected, index)| {
                let place = &mut piece[..expected.len()];
                rustix::io::pread(&self.memory, &mut *place, index << 16) == Ok(expected.len())
                    && place == expected
            })
    }
}

/// An open file of its own, with an offset and locks of its own.
fn reopen(memory: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// The name of a copy, by which it is known as such, and from which is told what memory cannot say of itself; nothing
/// if the path is too long for one.
pub(crate) fn name(stat: &FileStat, path: &GuestPath) -> Option<Vec<u8>> {
    let FileStat { device, inode, n_links, uid, gid, .. } = *stat;
    let identity = mirrord_guest::stat::Identity { device, inode, n_links: n_links.into(), uid, gid };
    identity.name(path.as_bytes())
}

/// A sealed, read-only copy of a file, which looks as much like it as memory can.
fn copy(bytes: &[u8], stat: &FileStat, name: &[u8]) -> io::Result<(OwnedFd, OwnedFd)> {
    let memory = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    write_all_at(&memory, bytes, 0)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&memory, seals)?;
    // Before the mode says that we may not.
    let readable = reopen(&memory)?;
    fchmod(&memory, Mode::from_raw_mode(stat.mode & 0o7777))?;
    let (last_access, last_modification) = (timespec(stat.accessed), timespec(stat.modified));
    futimens(&memory, &Timestamps { last_access, last_modification })?;
    Ok((memory, readable))
}

fn timespec(time: Time) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}

/// A file without a name in the folder for temporary files, or, where that cannot be, in memory.
pub(crate) fn unnamed() -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = open(std::env::temp_dir(), flags, Mode::from_raw_mode(0o600))
        .or_else(|_| memfd_create("mirrord", MemfdFlags::CLOEXEC))?;
    Ok(File::from(file))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::fs::MetadataExt,
    };

    use super::*;

    #[test]
    fn a_copy_looks_like_its_file_and_cannot_be_changed() {
        let modified = Time { seconds: 1_600_000_000, nanoseconds: 5 };
        let stat = FileStat { mode: 0o100_440, inode: 0xabc, n_links: 2, modified, ..FileStat::default() };
        let mut file =
            File::from(copy(b"some bytes", &stat, &name(&stat, &GuestPath::from("/x")).unwrap()).unwrap().1);
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.len()), (0o440, 10));
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_600_000_000, 5));
        let mut bytes = String::new();
        file.read_to_string(&mut bytes).unwrap();
        assert_eq!(bytes, "some bytes");
        file.write_all(b"x").unwrap_err();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert_eq!(link.to_str(), Some("/memfd:mirrord:0:abc:2:0:0:/x (deleted)"));
    }

    #[test]
    fn opens_of_a_file_share_its_locks_but_not_its_offset() {
        let copies = Copies::default();
        let stat = FileStat { mode: 0o100_644, inode: 7, size: 4, ..FileStat::default() };
        let open = |bytes: &[u8], stat: &FileStat| File::from(copies.open(bytes, stat, b"x").unwrap());
        let (mut one, mut other) = (open(b"same", &stat), open(b"same", &stat));
        one.lock().unwrap();
        other.try_lock().unwrap_err();
        for file in [&mut one, &mut other] {
            let mut bytes = String::new();
            file.read_to_string(&mut bytes).unwrap();
            assert_eq!(bytes, "same");
        }
        // Whatever its attributes say.
        let mut changed = open(b"news", &stat);
        changed.try_lock().unwrap();
        let mut bytes = String::new();
        changed.read_to_string(&mut bytes).unwrap();
        assert_eq!(bytes, "news");
        open(b"same", &FileStat { inode: 8, ..stat }).try_lock().unwrap();
    }
}
