//! Directories: opened there, and then read by the kernel.

use std::{
    ffi::{c_char, c_int},
    os::fd::{AsRawFd, IntoRawFd},
};

use libc::{AT_FDCWD, DIR, O_CLOEXEC, O_DIRECTORY, O_NONBLOCK, O_RDONLY, dirent};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::GuestPath;

use super::{open, way};
use crate::{
    answer::{self, Outcome},
    engine::table::fs::original,
    process::Process,
};

pub(crate) type Filter = Option<unsafe extern "C" fn(*const dirent) -> c_int>;
pub(crate) type Compare = Option<unsafe extern "C" fn(*mut *const dirent, *mut *const dirent) -> c_int>;

pub(crate) type GlobFailed = Option<unsafe extern "C" fn(*const c_char, c_int) -> c_int>;

const FLAGS: c_int = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC;

pub(crate) unsafe fn opendir(process: &Process, path: *const c_char) -> *mut DIR {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::opendir()(path) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, stream) }
}

/// A stream of a directory there.
fn stream(path: GuestPath) -> Outcome<*mut DIR> {
    let fd = open::there(path, FLAGS, 0)?.into_raw_fd();
    // SAFETY: the descriptor is a directory's, and the stream's from now on.
    let stream = unsafe { libc::fdopendir(fd) };
    if stream.is_null() { Err(answer::errno()) } else { Ok(stream) }
}

pub(crate) unsafe fn scandir(
    process: &Process,
    path: *const c_char,
    list: *mut *mut *mut dirent,
    filter: Filter,
    compare: Compare,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::scandir()(path, list, filter, compare) };
    // SAFETY: as above.
    let there = |path| unsafe { scan(path, list, filter, compare) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn scandirat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    list: *mut *mut *mut dirent,
    filter: Filter,
    compare: Compare,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::scandirat()(dir, path, list, filter, compare) };
    // SAFETY: as above.
    let there = |path| unsafe { scan(path, list, filter, compare) };
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Read, here, there) }
}

/// Lets the C library scan a directory there, which it sees by its descriptor.
///
/// # Safety
/// The arguments are those of a `scandir(3)`.
unsafe fn scan(
    path: GuestPath,
    list: *mut *mut *mut dirent,
    filter: Filter,
    compare: Compare,
) -> Outcome<c_int> {
    let dir = open::there(path, FLAGS, 0)?;
    // SAFETY: the caller's arguments.
    let n_found = unsafe { original::scandirat()(dir.as_raw_fd(), c".".as_ptr(), list, filter, compare) };
    if n_found < 0 { Err(answer::errno()) } else { Ok(n_found) }
}

/// `glob(3)`, which looks at directories and files by our symbols, so that each goes where it belongs.
pub(crate) unsafe fn glob(
    process: &Process,
    pattern: *const c_char,
    flags: c_int,
    failed: GlobFailed,
    found: *mut libc::glob64_t,
) -> c_int {
    let is_off = process.rules.fs.mode == mirrord_core::rules::fs::FsMode::Local;
    if is_off || flags & libc::GLOB_ALTDIRFUNC != 0 {
        // SAFETY: the guest's own arguments.
        return unsafe { original::glob()(pattern, flags, failed, found) };
    }
    // SAFETY: the guest promises the structure.
    let Some(functions) = (unsafe { found.cast::<Functions>().as_mut() }) else {
        crate::answer::set_errno(Errno(libc::EFAULT));
        return libc::GLOB_ABORTED;
    };
    functions.use_ours();
    // SAFETY: as above.
    let status = unsafe { original::glob()(pattern, flags | libc::GLOB_ALTDIRFUNC, failed, found) };
    functions.flags &= !libc::GLOB_ALTDIRFUNC;
    status
}

/// `glob_t` with the functions that the `libc` crate hides.
#[repr(C)]
struct Functions {
    n_paths: libc::size_t,
    paths: *mut *mut c_char,
    n_reserved: libc::size_t,
    flags: c_int,
    closedir: unsafe extern "C" fn(*mut DIR) -> c_int,
    readdir: unsafe extern "C" fn(*mut DIR) -> *mut dirent,
    opendir: unsafe extern "C-unwind" fn(*const c_char) -> *mut DIR,
    lstat: unsafe extern "C-unwind" fn(*const c_char, *mut libc::stat) -> c_int,
    stat: unsafe extern "C-unwind" fn(*const c_char, *mut libc::stat) -> c_int,
}

impl Functions {
    fn use_ours(&mut self) {
        use crate::engine::table::fs as symbols;
        self.closedir = libc::closedir;
        self.readdir = libc::readdir;
        self.opendir = symbols::opendir;
        self.lstat = symbols::lstat;
        self.stat = symbols::stat;
    }
}
