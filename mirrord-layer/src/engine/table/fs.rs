//! The rows of files: calls that take a path.
//!
//! On 64-bit machines the spellings with `64` are the same functions.

use libc::{DIR, c_char, c_int, c_uint, dirent, mode_t, size_t, ssize_t};

use crate::hooks::fs::dir::{Compare, Filter, GlobFailed};

rows! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::open, "fs";
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::open, "fs";
    fn __open_2(path: *const c_char, flags: c_int) -> c_int = fs::open::open_without_mode, "fs";
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int = fs::open::open_without_mode, "fs";
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::openat, "fs";
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::openat, "fs";
    fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int = fs::open::openat_without_mode, "fs";
    fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int = fs::open::openat_without_mode, "fs";
    fn creat(path: *const c_char, mode: mode_t) -> c_int = fs::open::creat, "fs";
    fn creat64(path: *const c_char, mode: mode_t) -> c_int = fs::open::creat, "fs";
    fn stat(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::stat, "fs";
    fn stat64(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::stat, "fs";
    fn lstat(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lstat, "fs";
    fn lstat64(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lstat, "fs";
    fn fstat(fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fstat, "fs";
    fn fstat64(fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fstat, "fs";
    fn fstatat(dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int = fs::stat::fstatat, "fs";
    fn fstatat64(dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int = fs::stat::fstatat, "fs";
    fn __xstat(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::xstat, "fs";
    fn __xstat64(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::xstat, "fs";
    fn __lxstat(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lxstat, "fs";
    fn __lxstat64(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lxstat, "fs";
    fn __fxstat(version: c_int, fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fxstat, "fs";
    fn __fxstat64(version: c_int, fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fxstat, "fs";
    fn __fxstatat(version: c_int, dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int = fs::stat::fxstatat, "fs";
    fn __fxstatat64(version: c_int, dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int = fs::stat::fxstatat, "fs";
    fn statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, out: *mut libc::statx) -> c_int = fs::stat::statx, "fs";
    fn access(path: *const c_char, mode: c_int) -> c_int = fs::link::access, "fs";
    fn eaccess(path: *const c_char, mode: c_int) -> c_int = fs::link::eaccess, "fs";
    fn euidaccess(path: *const c_char, mode: c_int) -> c_int = fs::link::eaccess, "fs";
    fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int = fs::link::faccessat, "fs";
    fn readlink(path: *const c_char, out: *mut c_char, size: size_t) -> ssize_t = fs::link::readlink, "fs";
    fn __readlink_chk(path: *const c_char, out: *mut c_char, size: size_t, room: size_t) -> ssize_t = fs::link::readlink_checked, "fs";
    fn readlinkat(dir: c_int, path: *const c_char, out: *mut c_char, size: size_t) -> ssize_t = fs::link::readlinkat, "fs";
    fn __readlinkat_chk(dir: c_int, path: *const c_char, out: *mut c_char, size: size_t, room: size_t) -> ssize_t = fs::link::readlinkat_checked, "fs";
    fn realpath(path: *const c_char, out: *mut c_char) -> *mut c_char = fs::link::realpath, "fs";
    fn __realpath_chk(path: *const c_char, out: *mut c_char, room: size_t) -> *mut c_char = fs::link::realpath_checked, "fs";
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char = fs::link::canonicalize, "fs";
    fn chdir(path: *const c_char) -> c_int = fs::working::chdir, "fs";
    fn getcwd(out: *mut c_char, size: size_t) -> *mut c_char = fs::working::getcwd, "fs";
    fn __getcwd_chk(out: *mut c_char, size: size_t, room: size_t) -> *mut c_char = fs::working::getcwd_checked, "fs";
    fn get_current_dir_name() -> *mut c_char = fs::working::get_current_dir_name, "fs";
    fn opendir(path: *const c_char) -> *mut DIR = fs::dir::opendir, "fs";
    fn scandir(path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int = fs::dir::scandir, "fs";
    fn scandir64(path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int = fs::dir::scandir, "fs";
    fn scandirat(dir: c_int, path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int = fs::dir::scandirat, "fs";
    fn scandirat64(dir: c_int, path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int = fs::dir::scandirat, "fs";
    fn glob(pattern: *const c_char, flags: c_int, failed: GlobFailed, found: *mut libc::glob64_t) -> c_int = fs::dir::glob, "fs";
    fn glob64(pattern: *const c_char, flags: c_int, failed: GlobFailed, found: *mut libc::glob64_t) -> c_int = fs::dir::glob, "fs";
}
