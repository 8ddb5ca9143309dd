//! The rows of files: calls that take a path.
//!
//! On 64-bit machines the spellings with `64` are the same functions.

use libc::{
    DIR, FILE, c_char, c_int, c_long, c_uint, c_void, dev_t, dirent, gid_t, mode_t, off_t, size_t, ssize_t,
    timespec, timeval, uid_t, utimbuf,
};

use crate::hooks::fs::{
    dir::{Compare, Filter, GlobFailed},
    entry::{Compare as CompareEntries, Entry},
    tree::Tree,
    walk::{Visit, VisitPlace},
};

rows! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::open, "fs";
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::open, "fs";
    fn __open_2(path: *const c_char, flags: c_int) -> c_int = fs::open::open_without_mode, "fs";
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int = fs::open::open_without_mode, "fs";
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::openat, "fs";
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int
        = fs::open::openat, "fs";
    fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int
        = fs::open::openat_without_mode, "fs";
    fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int
        = fs::open::openat_without_mode, "fs";
    fn creat(path: *const c_char, mode: mode_t) -> c_int = fs::open::creat, "fs";
    fn creat64(path: *const c_char, mode: mode_t) -> c_int = fs::open::creat, "fs";
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE = fs::stdio::fopen, "fs";
    fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE = fs::stdio::fopen, "fs";
    fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE
        = fs::stdio::freopen, "fs";
    fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE
        = fs::stdio::freopen, "fs";
    fn stat(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::stat, "fs";
    fn stat64(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::stat, "fs";
    fn lstat(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lstat, "fs";
    fn lstat64(path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lstat, "fs";
    fn fstat(fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fstat, "fs";
    fn fstat64(fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fstat, "fs";
    fn fstatat(dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int
        = fs::stat::fstatat, "fs";
    fn fstatat64(dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int
        = fs::stat::fstatat, "fs";
    fn __xstat(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::xstat, "fs";
    fn __xstat64(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::xstat, "fs";
    fn __lxstat(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int = fs::stat::lxstat, "fs";
    fn __lxstat64(version: c_int, path: *const c_char, out: *mut libc::stat) -> c_int
        = fs::stat::lxstat, "fs";
    fn __fxstat(version: c_int, fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fxstat, "fs";
    fn __fxstat64(version: c_int, fd: c_int, out: *mut libc::stat) -> c_int = fs::stat::fxstat, "fs";
    fn __fxstatat(version: c_int, dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int
        = fs::stat::fxstatat, "fs";
    fn __fxstatat64(version: c_int, dir: c_int, path: *const c_char, out: *mut libc::stat, flags: c_int) -> c_int
        = fs::stat::fxstatat, "fs";
    fn statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, out: *mut libc::statx) -> c_int
        = fs::stat::statx, "fs";
    fn access(path: *const c_char, mode: c_int) -> c_int = fs::link::access, "fs";
    fn eaccess(path: *const c_char, mode: c_int) -> c_int = fs::link::eaccess, "fs";
    fn euidaccess(path: *const c_char, mode: c_int) -> c_int = fs::link::eaccess, "fs";
    fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int
        = fs::link::faccessat, "fs";
    fn readlink(path: *const c_char, out: *mut c_char, size: size_t) -> ssize_t = fs::link::readlink, "fs";
    fn __readlink_chk(path: *const c_char, out: *mut c_char, size: size_t, room: size_t) -> ssize_t
        = fs::link::readlink_checked, "fs";
    fn readlinkat(dir: c_int, path: *const c_char, out: *mut c_char, size: size_t) -> ssize_t
        = fs::link::readlinkat, "fs";
    fn __readlinkat_chk(dir: c_int, path: *const c_char, out: *mut c_char, size: size_t, room: size_t) -> ssize_t
        = fs::link::readlinkat_checked, "fs";
    fn realpath(path: *const c_char, out: *mut c_char) -> *mut c_char = fs::link::realpath, "fs";
    fn __realpath_chk(path: *const c_char, out: *mut c_char, room: size_t) -> *mut c_char
        = fs::link::realpath_checked, "fs";
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char = fs::link::canonicalize, "fs";
    fn chdir(path: *const c_char) -> c_int = fs::working::chdir, "fs";
    fn getcwd(out: *mut c_char, size: size_t) -> *mut c_char = fs::working::getcwd, "fs";
    fn __getcwd_chk(out: *mut c_char, size: size_t, room: size_t) -> *mut c_char
        = fs::working::getcwd_checked, "fs";
    fn get_current_dir_name() -> *mut c_char = fs::working::get_current_dir_name, "fs";
    fn opendir(path: *const c_char) -> *mut DIR = fs::dir::opendir, "fs";
    fn scandir(path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int
        = fs::dir::scandir, "fs";
    fn scandir64(path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int
        = fs::dir::scandir, "fs";
    fn scandirat(dir: c_int, path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int
        = fs::dir::scandirat, "fs";
    fn scandirat64(dir: c_int, path: *const c_char, list: *mut *mut *mut dirent, filter: Filter, compare: Compare) -> c_int
        = fs::dir::scandirat, "fs";
    fn glob(pattern: *const c_char, flags: c_int, failed: GlobFailed, found: *mut libc::glob64_t) -> c_int
        = fs::dir::glob, "fs";
    fn glob64(pattern: *const c_char, flags: c_int, failed: GlobFailed, found: *mut libc::glob64_t) -> c_int
        = fs::dir::glob, "fs";
    fn ftw(root: *const c_char, visit: Visit, n_open: c_int) -> c_int = fs::walk::ftw, "fs";
    fn ftw64(root: *const c_char, visit: Visit, n_open: c_int) -> c_int = fs::walk::ftw, "fs";
    fn nftw(root: *const c_char, visit: VisitPlace, n_open: c_int, flags: c_int) -> c_int
        = fs::walk::nftw, "fs";
    fn nftw64(root: *const c_char, visit: VisitPlace, n_open: c_int, flags: c_int) -> c_int
        = fs::walk::nftw, "fs";
    fn fts_open(roots: *const *mut c_char, options: c_int, compare: CompareEntries) -> *mut Tree
        = fs::tree::open, "fs";
    fn fts64_open(roots: *const *mut c_char, options: c_int, compare: CompareEntries) -> *mut Tree
        = fs::tree::open, "fs";
    fn fts_read(tree: *mut Tree) -> *mut Entry = fs::tree::read, "fs";
    fn fts64_read(tree: *mut Tree) -> *mut Entry = fs::tree::read, "fs";
    fn fts_children(tree: *mut Tree, what: c_int) -> *mut Entry = fs::tree::children, "fs";
    fn fts64_children(tree: *mut Tree, what: c_int) -> *mut Entry = fs::tree::children, "fs";
    fn fts_close(tree: *mut Tree) -> c_int = fs::tree::close, "fs";
    fn fts64_close(tree: *mut Tree) -> c_int = fs::tree::close, "fs";
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int = fs::change::mkdir, "fs";
    fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int = fs::change::mkdirat, "fs";
    fn mknod(path: *const c_char, mode: mode_t, device: dev_t) -> c_int = fs::change::mknod, "fs";
    fn mknodat(dir: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int
        = fs::change::mknodat, "fs";
    fn __xmknod(version: c_int, path: *const c_char, mode: mode_t, device: *mut dev_t) -> c_int
        = fs::change::xmknod, "fs";
    fn __xmknodat(version: c_int, dir: c_int, path: *const c_char, mode: mode_t, device: *mut dev_t) -> c_int
        = fs::change::xmknodat, "fs";
    fn mkfifo(path: *const c_char, mode: mode_t) -> c_int = fs::change::mkfifo, "fs";
    fn mkfifoat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int = fs::change::mkfifoat, "fs";
    fn rmdir(path: *const c_char) -> c_int = fs::change::rmdir, "fs";
    fn unlink(path: *const c_char) -> c_int = fs::change::unlink, "fs";
    fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int = fs::change::unlinkat, "fs";
    fn remove(path: *const c_char) -> c_int = fs::change::remove, "fs";
    fn rename(from: *const c_char, to: *const c_char) -> c_int = fs::change::rename, "fs";
    fn renameat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char) -> c_int
        = fs::change::renameat, "fs";
    fn renameat2(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_uint) -> c_int
        = fs::change::renameat2, "fs";
    fn link(from: *const c_char, to: *const c_char) -> c_int = fs::change::link, "fs";
    fn linkat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_int) -> c_int
        = fs::change::linkat, "fs";
    fn symlink(text: *const c_char, path: *const c_char) -> c_int = fs::change::symlink, "fs";
    fn symlinkat(text: *const c_char, dir: c_int, path: *const c_char) -> c_int = fs::change::symlinkat, "fs";
    fn chmod(path: *const c_char, mode: mode_t) -> c_int = fs::mark::chmod, "fs";
    fn lchmod(path: *const c_char, mode: mode_t) -> c_int = fs::mark::lchmod, "fs";
    fn fchmodat(dir: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int
        = fs::mark::fchmodat, "fs";
    fn chown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int = fs::mark::chown, "fs";
    fn lchown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int = fs::mark::lchown, "fs";
    fn fchownat(dir: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int
        = fs::mark::fchownat, "fs";
    fn utime(path: *const c_char, times: *const utimbuf) -> c_int = fs::mark::utime, "fs";
    fn utimes(path: *const c_char, times: *const timeval) -> c_int = fs::mark::utimes, "fs";
    fn lutimes(path: *const c_char, times: *const timeval) -> c_int = fs::mark::lutimes, "fs";
    fn futimesat(dir: c_int, path: *const c_char, times: *const timeval) -> c_int = fs::mark::futimesat, "fs";
    fn utimensat(dir: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int
        = fs::mark::utimensat, "fs";
    fn truncate(path: *const c_char, size: off_t) -> c_int = fs::mark::truncate, "fs";
    fn truncate64(path: *const c_char, size: off_t) -> c_int = fs::mark::truncate, "fs";
    fn statfs(path: *const c_char, out: *mut libc::statfs) -> c_int = fs::system::statfs, "fs";
    fn statfs64(path: *const c_char, out: *mut libc::statfs) -> c_int = fs::system::statfs, "fs";
    fn statvfs(path: *const c_char, out: *mut libc::statvfs) -> c_int = fs::system::statvfs, "fs";
    fn statvfs64(path: *const c_char, out: *mut libc::statvfs) -> c_int = fs::system::statvfs, "fs";
    fn pathconf(path: *const c_char, name: c_int) -> c_long = fs::system::pathconf, "fs";
    fn inotify_add_watch(watcher: c_int, path: *const c_char, mask: u32) -> c_int
        = fs::system::inotify_add_watch, "fs";
    fn mkstemp(template: *mut c_char) -> c_int = fs::temporary::mkstemp, "fs";
    fn mkstemp64(template: *mut c_char) -> c_int = fs::temporary::mkstemp, "fs";
    fn mkostemp(template: *mut c_char, flags: c_int) -> c_int = fs::temporary::mkostemp, "fs";
    fn mkostemp64(template: *mut c_char, flags: c_int) -> c_int = fs::temporary::mkostemp, "fs";
    fn mkstemps(template: *mut c_char, n_suffix: c_int) -> c_int = fs::temporary::mkstemps, "fs";
    fn mkstemps64(template: *mut c_char, n_suffix: c_int) -> c_int = fs::temporary::mkstemps, "fs";
    fn mkostemps(template: *mut c_char, n_suffix: c_int, flags: c_int) -> c_int
        = fs::temporary::mkostemps, "fs";
    fn mkostemps64(template: *mut c_char, n_suffix: c_int, flags: c_int) -> c_int
        = fs::temporary::mkostemps, "fs";
    fn mkdtemp(template: *mut c_char) -> *mut c_char = fs::temporary::mkdtemp, "fs";
    fn mktemp(template: *mut c_char) -> *mut c_char = fs::temporary::mktemp, "fs";
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t
        = fs::attribute::getxattr, "fs";
    fn lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t
        = fs::attribute::lgetxattr, "fs";
    fn listxattr(path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t
        = fs::attribute::listxattr, "fs";
    fn llistxattr(path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t
        = fs::attribute::llistxattr, "fs";
    fn setxattr(path: *const c_char, name: *const c_char, value: *const c_void, size: size_t, flags: c_int) -> c_int
        = fs::attribute::setxattr, "fs";
    fn lsetxattr(path: *const c_char, name: *const c_char, value: *const c_void, size: size_t, flags: c_int) -> c_int
        = fs::attribute::lsetxattr, "fs";
    fn fchmod(fd: c_int, mode: mode_t) -> c_int = fs::copied::fchmod, "fs";
    fn fchown(fd: c_int, uid: uid_t, gid: gid_t) -> c_int = fs::copied::fchown, "fs";
    fn futimens(fd: c_int, times: *const timespec) -> c_int = fs::copied::futimens, "fs";
    fn futimes(fd: c_int, times: *const timeval) -> c_int = fs::copied::futimes, "fs";
    fn fstatfs(fd: c_int, out: *mut libc::statfs) -> c_int = fs::copied::fstatfs, "fs";
    fn fstatfs64(fd: c_int, out: *mut libc::statfs) -> c_int = fs::copied::fstatfs, "fs";
    fn fstatvfs(fd: c_int, out: *mut libc::statvfs) -> c_int = fs::copied::fstatvfs, "fs";
    fn fstatvfs64(fd: c_int, out: *mut libc::statvfs) -> c_int = fs::copied::fstatvfs, "fs";
    fn fgetxattr(fd: c_int, name: *const c_char, value: *mut c_void, size: size_t) -> ssize_t
        = fs::copied::fgetxattr, "fs";
    fn flistxattr(fd: c_int, list: *mut c_char, size: size_t) -> ssize_t = fs::copied::flistxattr, "fs";
    fn fsetxattr(fd: c_int, name: *const c_char, value: *const c_void, size: size_t, flags: c_int) -> c_int
        = fs::copied::fsetxattr, "fs";
    fn fremovexattr(fd: c_int, name: *const c_char) -> c_int = fs::copied::fremovexattr, "fs";
    fn removexattr(path: *const c_char, name: *const c_char) -> c_int = fs::attribute::removexattr, "fs";
    fn lremovexattr(path: *const c_char, name: *const c_char) -> c_int = fs::attribute::lremovexattr, "fs";
}
