//! Small files as memory: all bytes are here before the guest has its descriptor.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mirrord_protocol::agent::fs::{FileStat, Time};
use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, Timespec, Timestamps, fchmod, fcntl_add_seals, futimens,
    memfd_create, open,
};

use super::settings::write_all_at;

/// A sealed, read-only copy of a file, which looks as much like it as memory can. The rest is in its name, from which
/// the layer tells it: device, inode, links, user and group, in hexadecimal.
pub(crate) fn copy(bytes: &[u8], stat: &FileStat) -> io::Result<OwnedFd> {
    let FileStat { device, inode, n_links, uid, gid, .. } = stat;
    let name = format!("mirrord:{device:x}:{inode:x}:{n_links:x}:{uid:x}:{gid:x}");
    let memory = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    write_all_at(&memory, bytes, 0)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&memory, seals)?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let readable = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    fchmod(&memory, Mode::from_raw_mode(stat.mode & 0o7777))?;
    let (last_access, last_modification) = (timespec(stat.accessed), timespec(stat.modified));
    futimens(&memory, &Timestamps { last_access, last_modification })?;
    Ok(readable)
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
        let mut file = File::from(copy(b"some bytes", &stat).unwrap());
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.len()), (0o440, 10));
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_600_000_000, 5));
        let mut bytes = String::new();
        file.read_to_string(&mut bytes).unwrap();
        assert_eq!(bytes, "some bytes");
        file.write_all(b"x").unwrap_err();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert_eq!(link.to_str(), Some("/memfd:mirrord:0:abc:2:0:0 (deleted)"));
    }
}
