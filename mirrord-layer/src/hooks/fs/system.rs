//! What is asked of the file system behind a path: its numbers, its limits, and news of a file.

use std::{
    ffi::{c_char, c_int, c_long},
    os::fd::AsRawFd,
};

use libc::{AT_FDCWD, IN_DONT_FOLLOW, O_CLOEXEC, O_NOFOLLOW, O_PATH, statfs as StatFs, statvfs as StatVfs};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileSystemStat, FsAnswer, FsCall},
};

use super::{open, way};
use crate::{
    abi::{self, text},
    answer::{self, Outcome},
    engine::table::fs::original,
    process::Process,
};

pub(crate) unsafe fn statfs(process: &Process, path: *const c_char, out: *mut StatFs) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::statfs()(path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { text::give_whole(&abi::stat::statfs(&ask(path)?), out) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn statvfs(process: &Process, path: *const c_char, out: *mut StatVfs) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::statvfs()(path, out) };
    // SAFETY: as above.
    let there = |path| unsafe { text::give_whole(&abi::stat::statvfs(&ask(path)?), out) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

/// Asks for the attributes of a file system there.
pub(super) fn ask(path: GuestPath) -> Outcome<FileSystemStat> {
    match way::ask(FsCall::StatFs(path))? {
        FsAnswer::FileSystem(told) => Ok(told),
        _ => Err(Errno(libc::EIO)),
    }
}

pub(crate) unsafe fn pathconf(process: &Process, path: *const c_char, name: c_int) -> c_long {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::pathconf()(path, name) };
    let there = |path| {
        let file = open::there(path, O_PATH | O_CLOEXEC, 0)?;
        let before = answer::errno();
        // SAFETY: the descriptor is open.
        let limit = unsafe { libc::fpathconf(file.as_raw_fd(), name) };
        // No limit is no failure, and is told by an errno that nobody has changed.
        answer::set_errno(if limit == -1 { answer::errno() } else { before });
        Ok(limit)
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

/// `inotify_add_watch(2)`: the kernel watches what a descriptor stands for.
pub(crate) unsafe fn inotify_add_watch(
    process: &Process,
    watcher: c_int,
    path: *const c_char,
    mask: u32,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::inotify_add_watch()(watcher, path, mask) };
    let there = |path| {
        let follow = if mask & IN_DONT_FOLLOW == 0 { 0 } else { O_NOFOLLOW };
        let file = open::there(path, O_PATH | O_CLOEXEC | follow, 0)?;
        let link = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
        // SAFETY: the path is a C string.
        let watch = unsafe { original::inotify_add_watch()(watcher, link.as_ptr(), mask & !IN_DONT_FOLLOW) };
        if watch < 0 { Err(answer::errno()) } else { Ok(watch) }
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}
