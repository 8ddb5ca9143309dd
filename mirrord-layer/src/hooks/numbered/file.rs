//! Calls on paths, by their number.

use std::ffi::c_long;

use super::{Arguments, ToLong, int, mode, pointer, size, unsigned};
use crate::engine::table::fs;

pub(super) unsafe fn call(number: c_long, arguments: Arguments) -> Option<c_long> {
    // SAFETY: the caller's arguments.
    unsafe { relative(number, arguments) }
        // SAFETY: as above.
        .or_else(|| unsafe { absolute(number, arguments) })
        // SAFETY: as above.
        .or_else(|| unsafe { by_descriptor(number, arguments) })
}

/// `fchmodat2(2)` (Linux 6.6), the same on all machines.
const FCHMODAT2: c_long = 452;

/// Calls that begin with a directory.
unsafe fn relative(number: c_long, arguments: Arguments) -> Option<c_long> {
    let [dir, path, c, d, e, _] = arguments;
    if path == 0 {
        // Some of them mean the descriptor then, which their functions do not know.
        return None;
    }
    match number {
        libc::SYS_openat => call!(fs::openat, int(dir), pointer(path), int(c), mode(d)),
        libc::SYS_newfstatat => call!(fs::fstatat, int(dir), pointer(path), pointer(c), int(d)),
        libc::SYS_statx => {
            call!(fs::statx, int(dir), pointer(path), int(c), unsigned(d), pointer(e))
        }
        libc::SYS_faccessat => call!(fs::faccessat, int(dir), pointer(path), int(c), 0),
        libc::SYS_faccessat2 => call!(fs::faccessat, int(dir), pointer(path), int(c), int(d)),
        libc::SYS_readlinkat => call!(fs::readlinkat, int(dir), pointer(path), pointer(c), size(d)),
        libc::SYS_mkdirat => call!(fs::mkdirat, int(dir), pointer(path), mode(c)),
        libc::SYS_mknodat => {
            call!(fs::mknodat, int(dir), pointer(path), mode(c), d.cast_unsigned())
        }
        libc::SYS_unlinkat => call!(fs::unlinkat, int(dir), pointer(path), int(c)),
        libc::SYS_renameat => call!(fs::renameat, int(dir), pointer(path), int(c), pointer(d)),
        libc::SYS_renameat2 => {
            call!(fs::renameat2, int(dir), pointer(path), int(c), pointer(d), unsigned(e))
        }
        libc::SYS_linkat => call!(fs::linkat, int(dir), pointer(path), int(c), pointer(d), int(e)),
        libc::SYS_symlinkat => call!(fs::symlinkat, pointer(dir), int(path), pointer(c)),
        libc::SYS_fchmodat => call!(fs::fchmodat, int(dir), pointer(path), mode(c), 0),
        FCHMODAT2 => call!(fs::fchmodat, int(dir), pointer(path), mode(c), int(d)),
        libc::SYS_fchownat => {
            call!(fs::fchownat, int(dir), pointer(path), unsigned(c), unsigned(d), int(e))
        }
        libc::SYS_utimensat => call!(fs::utimensat, int(dir), pointer(path), pointer(c), int(d)),
        libc::SYS_inotify_add_watch => {
            call!(fs::inotify_add_watch, int(dir), pointer(path), unsigned(c))
        }
        _ => None,
    }
}

/// Calls that begin with the path.
unsafe fn absolute(number: c_long, arguments: Arguments) -> Option<c_long> {
    let [path, b, c, d, e, _] = arguments;
    match number {
        libc::SYS_chdir => call!(fs::chdir, pointer(path)),
        libc::SYS_statfs => call!(fs::statfs, pointer(path), pointer(b)),
        libc::SYS_truncate => call!(fs::truncate, pointer(path), b),
        libc::SYS_getxattr => call!(fs::getxattr, pointer(path), pointer(b), pointer(c), size(d)),
        libc::SYS_lgetxattr => call!(fs::lgetxattr, pointer(path), pointer(b), pointer(c), size(d)),
        libc::SYS_listxattr => call!(fs::listxattr, pointer(path), pointer(b), size(c)),
        libc::SYS_llistxattr => call!(fs::llistxattr, pointer(path), pointer(b), size(c)),
        libc::SYS_setxattr => {
            call!(fs::setxattr, pointer(path), pointer(b), pointer(c), size(d), int(e))
        }
        libc::SYS_lsetxattr => {
            call!(fs::lsetxattr, pointer(path), pointer(b), pointer(c), size(d), int(e))
        }
        libc::SYS_removexattr => call!(fs::removexattr, pointer(path), pointer(b)),
        libc::SYS_lremovexattr => call!(fs::lremovexattr, pointer(path), pointer(b)),
        _ => None,
    }
}

/// Calls on descriptors.
unsafe fn by_descriptor(number: c_long, arguments: Arguments) -> Option<c_long> {
    let [fd, b, c, d, e, _] = arguments;
    match number {
        libc::SYS_fstat => call!(fs::fstat, int(fd), pointer(b)),
        libc::SYS_fstatfs => call!(fs::fstatfs, int(fd), pointer(b)),
        libc::SYS_fchmod => call!(fs::fchmod, int(fd), mode(b)),
        libc::SYS_fchown => call!(fs::fchown, int(fd), unsigned(b), unsigned(c)),
        libc::SYS_utimensat if b == 0 && d == 0 => call!(fs::futimens, int(fd), pointer(c)),
        libc::SYS_fgetxattr => call!(fs::fgetxattr, int(fd), pointer(b), pointer(c), size(d)),
        libc::SYS_flistxattr => call!(fs::flistxattr, int(fd), pointer(b), size(c)),
        libc::SYS_fsetxattr => {
            call!(fs::fsetxattr, int(fd), pointer(b), pointer(c), size(d), int(e))
        }
        libc::SYS_fremovexattr => call!(fs::fremovexattr, int(fd), pointer(b)),
        _ => None,
    }
}
