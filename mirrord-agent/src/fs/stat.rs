//! Calls that look at a path and change nothing.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FileSystemStat, FsAnswer, FsCall, MOST_NAMES, Time},
};
use rustix::{
    fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, StatxTimestamp},
    io::{Errno, Result},
};
use serde_bytes::ByteBuf;

use super::root::{ITSELF, Root};

/// What is asked of the kernel.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// Does a call that looks.
pub(super) fn look(root: &Root, call: &FsCall) -> Result<FsAnswer> {
    match call {
        FsCall::Stat { path, follow } => {
            stat(root.find(path.as_bytes(), *follow)?.as_fd()).map(FsAnswer::Stat)
        }
        FsCall::StatNames { folder, names } => stat_names(root, folder, names),
        FsCall::ReadLink(path) => read_link(root, path),
        FsCall::Canonicalize(path) => {
            let file = root.find(path.as_bytes(), true)?;
            root.path_of(file.as_fd()).map(FsAnswer::Path)
        }
        FsCall::Access { path, mode, follow } => access(root, path, *mode, *follow),
        FsCall::StatFs(path) => {
            file_system(root.find(path.as_bytes(), true)?.as_fd()).map(FsAnswer::FileSystem)
        }
        _ => Err(Errno::INVAL),
    }
}

fn stat_names(root: &Root, folder: &GuestPath, names: &[ByteBuf]) -> Result<FsAnswer> {
    if names.len() > MOST_NAMES {
        return Err(Errno::TOOBIG);
    }
    let folder = root.open(folder.as_bytes(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    // What is no single name would lead out of the folder, and at its end out of the root.
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/');
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let stat = |name: &ByteBuf| {
        let name = Some(name.as_slice()).filter(|name| is_name(name))?;
        rustix::fs::statx(&folder, name, flags, WANTED).ok().map(|found| translate(&found))
    };
    Ok(FsAnswer::Stats(names.iter().map(stat).collect()))
}

fn read_link(root: &Root, path: &GuestPath) -> Result<FsAnswer> {
    let file = root.find(path.as_bytes(), false)?;
    match rustix::fs::readlinkat(&file, "", Vec::new()) {
        Ok(text) => Ok(FsAnswer::Path(GuestPath(text.into_bytes()))),
        // By descriptor, what is no link is told as what is not there.
        Err(Errno::NOENT) => Err(Errno::INVAL),
        Err(error) => Err(error),
    }
}

fn access(root: &Root, path: &GuestPath, mode: i32, follow: bool) -> Result<FsAnswer> {
    let file = root.find(path.as_bytes(), follow)?;
    // The user of the thread is its effective one only (see `hands`), hence AT_EACCESS. `faccessat2(2)` alone knows
    // the flags.
    // SAFETY: The path is a string that lives on; the call writes nothing.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            file.as_raw_fd(),
            c"".as_ptr(),
            mode,
            libc::AT_EACCESS | libc::AT_EMPTY_PATH,
        )
    };
    if outcome == 0 { Ok(FsAnswer::Done) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The attributes of what a descriptor stands for.
pub(super) fn stat(file: BorrowedFd<'_>) -> Result<FileStat> {
    rustix::fs::statx(file, "", ITSELF, WANTED).map(|found| translate(&found))
}

fn translate(found: &Statx) -> FileStat {
    let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    FileStat {
        device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        mode: u32::from(found.stx_mode),
        n_links: found.stx_nlink,
        uid: found.stx_uid,
        gid: found.stx_gid,
        special: rustix::fs::makedev(found.stx_rdev_major, found.stx_rdev_minor),
        size: found.stx_size,
        block_size: found.stx_blksize,
        n_blocks: found.stx_blocks,
        accessed: time(found.stx_atime),
        modified: time(found.stx_mtime),
        changed: time(found.stx_ctime),
        born: born.then(|| time(found.stx_btime)),
    }
}

fn time(stamp: StatxTimestamp) -> Time {
    Time { seconds: stamp.tv_sec, nanoseconds: stamp.tv_nsec }
}

fn file_system(file: BorrowedFd<'_>) -> Result<FileSystemStat> {
    let magic = rustix::fs::fstatfs(file)?;
    let found = rustix::fs::fstatvfs(file)?;
    Ok(FileSystemStat {
        kind: magic.f_type.cast_unsigned(),
        block_size: found.f_bsize,
        fragment_size: found.f_frsize,
        n_blocks: found.f_blocks,
        n_free: found.f_bfree,
        n_available: found.f_bavail,
        n_files: found.f_files,
        n_files_free: found.f_ffree,
        id: found.f_fsid,
        name_length: found.f_namemax,
        flags: found.f_flag.bits(),
    })
}
