//! Calls that make, remove or rename files.

use std::ffi::{c_char, c_int, c_uint};

use libc::{AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, S_IFIFO, S_IFMT, S_IFREG, dev_t, mode_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{GuestPath, agent::fs::FsCall};

use super::{open::without_umask, way};
use crate::{abi::text, answer::Outcome, engine::table::fs::original, process::Process};

pub(crate) unsafe fn mkdir(process: &Process, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::mkdir()(path, mode) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, |path| make_dir(path, mode)) }
}

pub(crate) unsafe fn mkdirat(process: &Process, dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::mkdirat()(dir, path, mode) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, |path| make_dir(path, mode)) }
}

/// Makes a directory there.
pub(crate) fn make_dir(path: GuestPath, mode: mode_t) -> Outcome<c_int> {
    way::ask_done(FsCall::MakeDir { path, mode: without_umask(mode) })
}

pub(crate) unsafe fn mknod(process: &Process, path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::mknod()(path, mode, device) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, |path| make_node(path, mode)) }
}

pub(crate) unsafe fn mknodat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    mode: mode_t,
    device: dev_t,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::mknodat()(dir, path, mode, device) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, |path| make_node(path, mode)) }
}

/// The old spelling of `mknod`, with a version and the device behind a pointer.
pub(crate) unsafe fn xmknod(
    process: &Process,
    version: c_int,
    path: *const c_char,
    mode: mode_t,
    device: *mut dev_t,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::__xmknod()(version, path, mode, device) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, |path| make_node(path, mode)) }
}

/// The old spelling of `mknodat`.
pub(crate) unsafe fn xmknodat(
    process: &Process,
    version: c_int,
    dir: c_int,
    path: *const c_char,
    mode: mode_t,
    device: *mut dev_t,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::__xmknodat()(version, dir, path, mode, device) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, |path| make_node(path, mode)) }
}

pub(crate) unsafe fn mkfifo(process: &Process, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::mkfifo()(path, mode) };
    let there = |path| make_node(path, mode & 0o7777 | S_IFIFO);
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn mkfifoat(process: &Process, dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::mkfifoat()(dir, path, mode) };
    let there = |path| make_node(path, mode & 0o7777 | S_IFIFO);
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, there) }
}

fn make_node(path: GuestPath, mode: mode_t) -> Outcome<c_int> {
    let kind = if mode & S_IFMT == 0 { S_IFREG } else { mode & S_IFMT };
    if matches!(kind, libc::S_IFCHR | libc::S_IFBLK) {
        return Err(Errno(libc::EPERM));
    }
    way::ask_done(FsCall::MakeNode { path, mode: kind | without_umask(mode) })
}

pub(crate) unsafe fn rmdir(process: &Process, path: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::rmdir()(path) };
    let there = |path| way::ask_done(FsCall::RemoveDir(path));
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn unlink(process: &Process, path: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::unlink()(path) };
    let there = |path| way::ask_done(FsCall::Unlink(path));
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn unlinkat(process: &Process, dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::unlinkat()(dir, path, flags) };
    let there = |path| {
        way::ask_done(if flags & AT_REMOVEDIR == 0 { FsCall::Unlink(path) } else { FsCall::RemoveDir(path) })
    };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, there) }
}

/// `remove(3)`: a file, or an empty directory.
pub(crate) unsafe fn remove(process: &Process, path: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::remove()(path) };
    let there = |path: GuestPath| match way::ask_done(FsCall::Unlink(path.clone())) {
        Err(Errno(libc::EISDIR | libc::EPERM)) => way::ask_done(FsCall::RemoveDir(path)),
        outcome => outcome,
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn rename(process: &Process, from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |from, to| unsafe { original::rename()(from, to) };
    let there = |from, to| way::ask_done(FsCall::Rename { from, to, flags: 0 });
    // SAFETY: as above.
    unsafe { way::follow_both(process, (AT_FDCWD, from), (AT_FDCWD, to), here, there) }
}

pub(crate) unsafe fn renameat(
    process: &Process,
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |from, to| unsafe { original::renameat()(from_dir, from, to_dir, to) };
    let there = |from, to| way::ask_done(FsCall::Rename { from, to, flags: 0 });
    // SAFETY: as above.
    unsafe { way::follow_both(process, (from_dir, from), (to_dir, to), here, there) }
}

pub(crate) unsafe fn renameat2(
    process: &Process,
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |from, to| unsafe { original::renameat2()(from_dir, from, to_dir, to, flags) };
    let there = |from, to| way::ask_done(FsCall::Rename { from, to, flags });
    // SAFETY: as above.
    unsafe { way::follow_both(process, (from_dir, from), (to_dir, to), here, there) }
}

pub(crate) unsafe fn link(process: &Process, from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |from, to| unsafe { original::link()(from, to) };
    let there = |from, to| way::ask_done(FsCall::Link { from, to, follow: false });
    // SAFETY: as above.
    unsafe { way::follow_both(process, (AT_FDCWD, from), (AT_FDCWD, to), here, there) }
}

pub(crate) unsafe fn linkat(
    process: &Process,
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |from, to| unsafe { original::linkat()(from_dir, from, to_dir, to, flags) };
    let follow = flags & AT_SYMLINK_FOLLOW != 0;
    let there = |from, to| way::ask_done(FsCall::Link { from, to, follow });
    // SAFETY: as above.
    unsafe { way::follow_both(process, (from_dir, from), (to_dir, to), here, there) }
}

pub(crate) unsafe fn symlink(process: &Process, text: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::symlink()(text, path) };
    // SAFETY: as above.
    let there = |path| unsafe { make_link(text, path) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn symlinkat(
    process: &Process,
    text: *const c_char,
    dir: c_int,
    path: *const c_char,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::symlinkat()(text, dir, path) };
    // SAFETY: as above.
    let there = |path| unsafe { make_link(text, path) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, there) }
}

/// # Safety
/// `text` is a string, or an address that the kernel would refuse.
unsafe fn make_link(text: *const c_char, path: GuestPath) -> Outcome<c_int> {
    // SAFETY: the caller promises a string.
    let text = unsafe { text::bytes(text) }.ok_or(Errno(libc::EFAULT))?;
    way::ask_done(FsCall::Symlink { text: GuestPath::from(text), path })
}
