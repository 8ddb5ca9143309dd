//! Opening a file, in the form in which it is wanted.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsAnswer, Want},
};
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::{Errno, Result},
};
use serde_bytes::ByteBuf;

use super::{Outcome, fault, files::Files, root::Root, stat::stat};

/// The most bytes that an answer carries.
pub(super) const MAX_BYTES: u32 = 1 << 20;

/// Does an `open(2)`.
pub(super) fn open(
    root: &Root,
    files: &Files,
    path: &GuestPath,
    flags: i32,
    mode: u32,
    want: Want,
) -> Outcome {
    let (flags, mode) = permitted(flags, mode);
    let file = root.open(path.as_bytes(), flags, mode).map_err(fault)?;
    let stat = stat(file.as_fd()).map_err(fault)?;
    if !flags.contains(OFlags::PATH) && !may_be_open(&stat) {
        return Err(fault(Errno::PERM));
    }
    match want {
        Want::Descriptor => Ok((FsAnswer::Descriptor, Some(file))),
        Want::Handle(limit) => {
            let answer = as_handle(root, files, file, stat, flags, limit.min(MAX_BYTES));
            answer.map(|answer| (answer, None)).map_err(fault)
        }
    }
}

/// What a guest may ask for.
const KNOWN: OFlags = OFlags::from_bits_retain(
    OFlags::RWMODE.bits()
        | OFlags::CREATE.bits()
        | OFlags::EXCL.bits()
        | OFlags::TRUNC.bits()
        | OFlags::APPEND.bits()
        | OFlags::NONBLOCK.bits()
        | OFlags::SYNC.bits()
        | OFlags::DSYNC.bits()
        | OFlags::DIRECT.bits()
        | OFlags::LARGEFILE.bits()
        | OFlags::DIRECTORY.bits()
        | OFlags::NOFOLLOW.bits()
        | OFlags::NOATIME.bits()
        | OFlags::TMPFILE.bits()
        | OFlags::PATH.bits(),
);

/// `openat2(2)` refuses what `open(2)` ignores.
fn permitted(flags: i32, mode: u32) -> (OFlags, Mode) {
    let flags = OFlags::from_bits_retain(flags.cast_unsigned()) & KNOWN;
    if flags.contains(OFlags::PATH) {
        return (flags & (OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW), Mode::empty());
    }
    let creates = flags.contains(OFlags::CREATE) || flags.contains(OFlags::TMPFILE);
    let mode = if creates { Mode::from_raw_mode(mode & 0o7777) } else { Mode::empty() };
    (flags | OFlags::NOCTTY, mode)
}

/// The rules of a container's devices hold for its processes, and we are none: only those devices are opened that mean
/// the same for everybody.
fn may_be_open(stat: &FileStat) -> bool {
    match FileType::from_raw_mode(stat.mode) {
        FileType::BlockDevice => false,
        // null, zero, full, random, urandom, tty, ptmx and the terminals of ptys.
        FileType::CharacterDevice => matches!(
            (rustix::fs::major(stat.special), rustix::fs::minor(stat.special)),
            (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 2) | (136..=143, _)
        ),
        _ => true,
    }
}

fn as_handle(
    root: &Root,
    files: &Files,
    file: OwnedFd,
    stat: FileStat,
    flags: OFlags,
    limit: u32,
) -> Result<FsAnswer> {
    // A file without a name any more, or made without one (`O_TMPFILE`), has no path.
    let path = root.path_of(file.as_fd()).unwrap_or_else(|_| GuestPath::from("/"));
    let is_read = (flags & OFlags::RWMODE) == OFlags::RDONLY && !flags.contains(OFlags::PATH);
    let is_small = FileType::from_raw_mode(stat.mode) == FileType::RegularFile && stat.size <= limit.into();
    let contents = if is_read && is_small && limit > 0 { read_all(file.as_fd(), limit)? } else { None };
    let file = if contents.is_some() { None } else { Some(files.keep(file)?) };
    Ok(FsAnswer::Opened { file, stat, path, contents })
}

/// All bytes, or nothing if there are more than that: the size of a file of `/proc` says nothing.
fn read_all(file: BorrowedFd<'_>, limit: u32) -> Result<Option<ByteBuf>> {
    let limit = limit as usize;
    let mut bytes = Vec::with_capacity(limit.min(16 << 10));
    loop {
        if bytes.capacity() - bytes.len() == 0 {
            bytes.reserve(bytes.len().max(4 << 10));
        }
        let from = bytes.len() as u64;
        if rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), from)? == 0 {
            return Ok(Some(ByteBuf::from(bytes)));
        }
        if bytes.len() > limit {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_only_for_what_is_created() {
        assert_eq!(permitted(libc::O_RDWR, 0o644).1, Mode::empty());
        assert_eq!(permitted(libc::O_RDWR | libc::O_CREAT, 0o100_644).1, Mode::from_raw_mode(0o644));
        let (flags, _) = permitted(libc::O_PATH | libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW, 0o644);
        assert_eq!(flags, OFlags::PATH | OFlags::NOFOLLOW);
    }

    #[test]
    fn a_disk_is_not_opened_and_dev_null_is() {
        let device = |kind: u32, major: u32, minor: u32| FileStat {
            mode: kind,
            special: rustix::fs::makedev(major, minor),
            ..FileStat::default()
        };
        assert!(!may_be_open(&device(libc::S_IFBLK, 8, 0)) && !may_be_open(&device(libc::S_IFCHR, 1, 1)));
        assert!(may_be_open(&device(libc::S_IFCHR, 1, 3)) && may_be_open(&device(libc::S_IFREG, 0, 0)));
    }
}
