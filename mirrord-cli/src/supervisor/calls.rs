//! The numbers of the calls that are caught, by family.

use libc::c_long;

/// `fchmodat2(2)` (Linux 6.6), the same on all machines.
pub(super) const FCHMODAT2: c_long = 452;

/// Calls that take a path; and `execve(2)`, which makes another program of a guest.
pub(super) fn of_files() -> impl Iterator<Item = c_long> {
    const ALL: &[c_long] = &[
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_mkdirat,
        libc::SYS_mknodat,
        libc::SYS_unlinkat,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_symlinkat,
        libc::SYS_fchmodat,
        FCHMODAT2,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_truncate,
        libc::SYS_statfs,
        libc::SYS_getxattr,
        libc::SYS_lgetxattr,
        libc::SYS_listxattr,
        libc::SYS_llistxattr,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_inotify_add_watch,
        libc::SYS_chdir,
        libc::SYS_getcwd,
        libc::SYS_execve,
        libc::SYS_execveat,
    ];
    ALL.iter().chain(OLD).copied()
}

/// Calls of before `openat(2)`, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// Calls that take an address, but for those that are told apart by their arguments.
pub(super) fn of_sockets() -> impl Iterator<Item = c_long> {
    [libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_sendmsg, libc::SYS_sendmmsg].into_iter()
}

/// Calls that take a connection, which may be somebody's there.
pub(super) fn of_arrivals() -> impl Iterator<Item = c_long> {
    [libc::SYS_accept, libc::SYS_accept4].into_iter()
}

/// Calls that tell an address: of an arrival, a relay or a listener that stands elsewhere it is not the kernel's.
pub(super) fn of_addresses() -> impl Iterator<Item = c_long> {
    [libc::SYS_getsockname, libc::SYS_getpeername].into_iter()
}

/// Calls that see the difference between a far side and the relay that stands for it here.
pub(super) fn of_the_relayed() -> impl Iterator<Item = c_long> {
    [libc::SYS_recvmsg, libc::SYS_recvmmsg].into_iter()
}

/// Calls by descriptors, which see the difference between a file and its copy in memory.
pub(super) fn of_the_copied() -> impl Iterator<Item = c_long> {
    [
        libc::SYS_fstat,
        libc::SYS_fstatfs,
        libc::SYS_fchmod,
        libc::SYS_fchown,
        libc::SYS_fgetxattr,
        libc::SYS_flistxattr,
        libc::SYS_fsetxattr,
        libc::SYS_fremovexattr,
    ]
    .into_iter()
}

/// Calls of 32-bit programs that begin a program, open a file or make a socket, by their own numbers.
pub(super) fn of_narrow() -> impl Iterator<Item = u32> {
    EXEC_NARROW.into_iter().chain(OTHERS_NARROW)
}

/// `execve` and `execveat`.
#[cfg(target_arch = "x86_64")]
pub(super) const EXEC_NARROW: [u32; 2] = [11, 358];
/// `open`, `openat`, `socketcall`, `socket`.
#[cfg(target_arch = "x86_64")]
const OTHERS_NARROW: [u32; 4] = [5, 295, 102, 359];
/// `execve` and `execveat`.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const EXEC_NARROW: [u32; 2] = [11, 387];
/// `open`, `openat`, `socketcall`, `socket`.
#[cfg(not(target_arch = "x86_64"))]
const OTHERS_NARROW: [u32; 4] = [5, 322, 102, 281];
