//! Calls of before `openat(2)`, which only x86-64 has by number.

use std::ffi::c_long;

use super::{Arguments, ToLong, int, mode, pointer, size, unsigned};
use crate::engine::table::fs;

pub(super) unsafe fn call(number: c_long, arguments: Arguments) -> Option<c_long> {
    let [a, b, c, ..] = arguments;
    match number {
        libc::SYS_open => call!(fs::open, pointer(a), int(b), mode(c)),
        libc::SYS_creat => call!(fs::creat, pointer(a), mode(b)),
        libc::SYS_stat => call!(fs::stat, pointer(a), pointer(b)),
        libc::SYS_lstat => call!(fs::lstat, pointer(a), pointer(b)),
        libc::SYS_access => call!(fs::access, pointer(a), int(b)),
        libc::SYS_readlink => call!(fs::readlink, pointer(a), pointer(b), size(c)),
        libc::SYS_mkdir => call!(fs::mkdir, pointer(a), mode(b)),
        libc::SYS_rmdir => call!(fs::rmdir, pointer(a)),
        libc::SYS_unlink => call!(fs::unlink, pointer(a)),
        libc::SYS_rename => call!(fs::rename, pointer(a), pointer(b)),
        libc::SYS_link => call!(fs::link, pointer(a), pointer(b)),
        libc::SYS_symlink => call!(fs::symlink, pointer(a), pointer(b)),
        libc::SYS_chmod => call!(fs::chmod, pointer(a), mode(b)),
        libc::SYS_chown => call!(fs::chown, pointer(a), unsigned(b), unsigned(c)),
        libc::SYS_lchown => call!(fs::lchown, pointer(a), unsigned(b), unsigned(c)),
        libc::SYS_utime => call!(fs::utime, pointer(a), pointer(b)),
        libc::SYS_utimes => call!(fs::utimes, pointer(a), pointer(b)),
        _ => None,
    }
}
