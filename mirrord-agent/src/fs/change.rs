//! Calls that change what a path names.

use std::os::fd::AsFd as _;

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FsCall, Time},
};
use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, RenameFlags, Timespec, Timestamps, Uid},
    io::{Errno, Result},
};

use super::root::{ITSELF, Root, name};

/// Does a call that changes something.
pub(super) fn change(root: &Root, call: &FsCall) -> Result<()> {
    match call {
        FsCall::MakeDir { path, mode } => {
            let (parent, name) = root.find_parent(path.as_bytes())?;
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(*mode))
        }
        FsCall::MakeNode { path, mode } => make_node(root, path, *mode),
        FsCall::RemoveDir(path) => {
            let (parent, name) = root.find_parent(path.as_bytes())?;
            if path.as_bytes().iter().all(|byte| *byte == b'/') {
                return Err(Errno::BUSY);
            }
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        }
        FsCall::Unlink(path) => {
            let (parent, name) = root.find_parent(path.as_bytes())?;
            rustix::fs::unlinkat(parent, name, AtFlags::empty())
        }
        FsCall::Rename { from, to, flags } => {
            let (from_parent, from_name) = root.find_parent(from.as_bytes())?;
            let (to_parent, to_name) = root.find_parent(to.as_bytes())?;
            let flags = RenameFlags::from_bits_retain(*flags);
            rustix::fs::renameat_with(from_parent, from_name, to_parent, to_name, flags)
        }
        FsCall::Link { from, to, follow } => {
            let file = root.find(from.as_bytes(), *follow)?;
            let (parent, to_name) = root.find_parent(to.as_bytes())?;
            rustix::fs::linkat(CWD, name(file.as_fd()), parent, to_name, AtFlags::SYMLINK_FOLLOW)
        }
        FsCall::Symlink { text, path } => {
            let (parent, name) = root.find_parent(path.as_bytes())?;
            rustix::fs::symlinkat(text.as_bytes(), parent, name)
        }
        _ => change_attributes(root, call),
    }
}

fn make_node(root: &Root, path: &GuestPath, mode: u32) -> Result<()> {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Unknown if mode & libc::S_IFMT == 0 => FileType::RegularFile,
        kind @ (FileType::RegularFile | FileType::Fifo | FileType::Socket) => kind,
        // A device of a target is a device of the whole machine.
        _ => return Err(Errno::PERM),
    };
    let (parent, name) = root.find_parent(path.as_bytes())?;
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(mode), 0)
}

fn change_attributes(root: &Root, call: &FsCall) -> Result<()> {
    match call {
        FsCall::ChangeMode { path, mode, follow } => {
            let file = root.find(path.as_bytes(), *follow)?;
            let mode = Mode::from_raw_mode(*mode);
            rustix::fs::chmodat(CWD, name(file.as_fd()), mode, AtFlags::empty())
        }
        FsCall::ChangeOwner { path, uid, gid, follow } => {
            let file = root.find(path.as_bytes(), *follow)?;
            let uid = (*uid != u32::MAX).then(|| Uid::from_raw(*uid));
            let gid = (*gid != u32::MAX).then(|| Gid::from_raw(*gid));
            rustix::fs::chownat(file, "", uid, gid, ITSELF)
        }
        FsCall::SetTimes { path, times: [accessed, modified], follow } => {
            let file = root.find(path.as_bytes(), *follow)?;
            let times =
                Timestamps { last_access: timespec(*accessed), last_modification: timespec(*modified) };
            rustix::fs::utimensat(CWD, name(file.as_fd()), &times, AtFlags::empty())
        }
        FsCall::Truncate { path, size } => {
            let file = root.find(path.as_bytes(), true)?;
            nix::unistd::truncate(name(file.as_fd()).as_str(), offset(*size)?)
                .map_err(|errno| Errno::from_raw_os_error(errno as i32))
        }
        _ => Err(Errno::INVAL),
    }
}

fn timespec(time: Time) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}

/// A size as the kernel takes it.
pub(super) fn offset(size: u64) -> Result<i64> {
    i64::try_from(size).map_err(|_| Errno::INVAL)
}
