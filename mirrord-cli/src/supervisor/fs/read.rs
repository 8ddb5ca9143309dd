//! System calls by their number, as requests: which file is meant, and what is to be done to it.

use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW};
use mirrord_core::verdict::Errno;
use mirrord_protocol::agent::fs::Time;

use super::{
    super::{
        caller::{Caller, Outcome},
        calls::FCHMODAT2,
    },
    Pair, Request, Said, Work,
    told::{self, Told},
};

/// The largest value of an attribute that travels; the kernel's own limit (64 KiB) is hardly larger.
const LONGEST_VALUE: usize = 60 << 10;

/// `O_LARGEFILE` as the kernel numbers it: always set on these machines, and nobody's concern.
#[cfg(target_arch = "x86_64")]
const LARGE: i32 = 0o100_000;
#[cfg(not(target_arch = "x86_64"))]
const LARGE: i32 = 0o400_000;

/// What a caught call asks for; nothing if it is no call on files.
pub(super) fn request(caller: &Caller<'_>) -> Option<Outcome<Request>> {
    at(caller).or_else(|| by_path(caller)).or_else(|| on_descriptor(caller)).or_else(|| old(caller))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among calls of which some are none of ours")]
fn one(dir: i32, place: u64, work: Work) -> Option<Outcome<Request>> {
    Some(Ok(Request::One(Said { dir, place }, work)))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among calls of which some are none of ours")]
fn pair(from: (i32, u64), to: (i32, u64), pair: Pair) -> Option<Outcome<Request>> {
    let said = |(dir, place)| Said { dir, place };
    Some(Ok(Request::Two(said(from), said(to), pair)))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among calls of which some are none of ours")]
fn by_descriptor(number: i32, work: Work) -> Option<Outcome<Request>> {
    Some(Ok(Request::ByDescriptor(number, work)))
}

/// Times that are set by a descriptor.
fn marked(number: i32, times: [Time; 2]) -> Option<Outcome<Request>> {
    by_descriptor(number, Work::SetTimes { times, follow: false })
}

/// A request whose parts must be read from memory first.
fn with<T>(part: Outcome<T>, make: impl FnOnce(T) -> Option<Outcome<Request>>) -> Option<Outcome<Request>> {
    match part {
        Ok(part) => make(part),
        Err(errno) => Some(Err(errno)),
    }
}

fn open(flags: i32, mode: u32) -> Work {
    Work::Open { flags: flags & !LARGE, mode }
}

/// Calls that begin with a directory.
fn at(caller: &Caller<'_>) -> Option<Outcome<Request>> {
    let (dir, path) = (caller.int(0), caller.argument(1));
    let follows = |index: usize| caller.int(index) & AT_SYMLINK_NOFOLLOW == 0;
    match caller.call.number {
        libc::SYS_openat => one(dir, path, open(caller.int(2), caller.unsigned(3))),
        libc::SYS_openat2 => {
            with(caller.memory().value::<[u64; 3]>(caller.argument(2)), |[flags, mode, _]| {
                let low = |wide: u64| u32::try_from(wide & 0xFFFF_FFFF).unwrap_or(0);
                one(dir, path, open(low(flags).cast_signed(), low(mode)))
            })
        }
        libc::SYS_newfstatat if is_of_descriptor(caller, caller.int(3)) => {
            Some(Ok(Request::Told(Told::Stat { number: dir, out: caller.argument(2) })))
        }
        libc::SYS_newfstatat => one(dir, path, Work::Stat { follow: follows(3), out: caller.argument(2) }),
        libc::SYS_statx if is_of_descriptor(caller, caller.int(2)) => Some(Ok(Request::Told(Told::Statx {
            number: dir,
            mask: caller.unsigned(3),
            out: caller.argument(4),
        }))),
        libc::SYS_statx => {
            let (flags, mask) = (caller.int(2), caller.unsigned(3));
            one(dir, path, Work::Statx { follow: follows(2), flags, mask, out: caller.argument(4) })
        }
        libc::SYS_faccessat => one(dir, path, Work::Access { mode: caller.int(2), follow: true }),
        libc::SYS_faccessat2 => one(dir, path, Work::Access { mode: caller.int(2), follow: follows(3) }),
        libc::SYS_readlinkat => {
            one(dir, path, Work::ReadLink { out: caller.argument(2), size: caller.size(3) })
        }
        libc::SYS_mkdirat => one(dir, path, Work::MakeDir { mode: caller.unsigned(2) }),
        libc::SYS_mknodat => {
            one(dir, path, Work::MakeNode { mode: caller.unsigned(2), device: caller.argument(3) })
        }
        libc::SYS_unlinkat if caller.int(2) & AT_REMOVEDIR != 0 => one(dir, path, Work::RemoveDir),
        libc::SYS_unlinkat => one(dir, path, Work::Unlink),
        libc::SYS_renameat => {
            pair((dir, path), (caller.int(2), caller.argument(3)), Pair::Rename { flags: 0 })
        }
        libc::SYS_renameat2 => {
            let flags = caller.unsigned(4);
            pair((dir, path), (caller.int(2), caller.argument(3)), Pair::Rename { flags })
        }
        libc::SYS_linkat => {
            let follow = caller.int(4) & AT_SYMLINK_FOLLOW != 0;
            pair((dir, path), (caller.int(2), caller.argument(3)), Pair::Link { follow })
        }
        libc::SYS_symlinkat => with(caller.memory().path(caller.argument(0)), |text| {
            one(caller.int(1), caller.argument(2), Work::Symlink { text })
        }),
        libc::SYS_fchmodat => one(dir, path, Work::SetMode { mode: caller.unsigned(2), follow: true }),
        FCHMODAT2 if is_of_descriptor(caller, caller.int(3)) => {
            by_descriptor(dir, Work::SetMode { mode: caller.unsigned(2), follow: false })
        }
        FCHMODAT2 => one(dir, path, Work::SetMode { mode: caller.unsigned(2), follow: follows(3) }),
        libc::SYS_fchownat if is_of_descriptor(caller, caller.int(4)) => {
            let (uid, gid) = (caller.unsigned(2), caller.unsigned(3));
            by_descriptor(dir, Work::SetOwner { uid, gid, follow: false })
        }
        libc::SYS_fchownat => {
            let (uid, gid) = (caller.unsigned(2), caller.unsigned(3));
            one(dir, path, Work::SetOwner { uid, gid, follow: follows(4) })
        }
        libc::SYS_utimensat if path == 0 && caller.int(3) != 0 => None,
        libc::SYS_utimensat if path == 0 || is_of_descriptor(caller, caller.int(3)) => {
            with(times_of(caller, caller.argument(2)), |times| marked(dir, times))
        }
        libc::SYS_utimensat => with(times_of(caller, caller.argument(2)), |times| {
            one(dir, path, Work::SetTimes { times, follow: follows(3) })
        }),
        libc::SYS_inotify_add_watch => {
            one(AT_FDCWD, path, Work::Watch { watcher: dir, mask: caller.unsigned(2) })
        }
        _ => None,
    }
}

/// Calls that begin with the path, or with none.
fn by_path(caller: &Caller<'_>) -> Option<Outcome<Request>> {
    let path = caller.argument(0);
    let own = |work| one(AT_FDCWD, path, work);
    let name = || caller.memory().path(caller.argument(1));
    match caller.call.number {
        libc::SYS_getcwd => Some(Ok(Request::WorkingDirectory { out: path, size: caller.size(1) })),
        libc::SYS_chdir => own(Work::ChangeDir),
        libc::SYS_truncate => own(Work::Truncate { size: caller.argument(1) }),
        libc::SYS_statfs => own(Work::StatFs { out: caller.argument(1) }),
        number @ (libc::SYS_getxattr | libc::SYS_lgetxattr) => with(name(), |name| {
            let (out, size) = (caller.argument(2), caller.size(3));
            own(Work::GetAttribute { name, out, size, follow: number == libc::SYS_getxattr })
        }),
        number @ (libc::SYS_listxattr | libc::SYS_llistxattr) => {
            let (out, size) = (caller.argument(1), caller.size(2));
            own(Work::ListAttributes { out, size, follow: number == libc::SYS_listxattr })
        }
        number @ (libc::SYS_setxattr | libc::SYS_lsetxattr) => with(value_of(caller), |(name, value)| {
            let follow = number == libc::SYS_setxattr;
            own(Work::SetAttribute { name, value, flags: caller.int(4), follow })
        }),
        number @ (libc::SYS_removexattr | libc::SYS_lremovexattr) => {
            with(name(), |name| own(Work::RemoveAttribute { name, follow: number == libc::SYS_removexattr }))
        }
        _ => None,
    }
}

/// Calls on descriptors, which are ours where those are copies.
fn on_descriptor(caller: &Caller<'_>) -> Option<Outcome<Request>> {
    let (number, second) = (caller.int(0), caller.argument(1));
    let name = || caller.memory().path(second);
    match caller.call.number {
        libc::SYS_fstat => Some(Ok(Request::Told(Told::Stat { number, out: second }))),
        _ if !told::is_copy(caller, number) => None,
        libc::SYS_fstatfs => by_descriptor(number, Work::StatFs { out: second }),
        libc::SYS_fchmod => by_descriptor(number, Work::SetMode { mode: caller.unsigned(1), follow: false }),
        libc::SYS_fchown => {
            let (uid, gid) = (caller.unsigned(1), caller.unsigned(2));
            by_descriptor(number, Work::SetOwner { uid, gid, follow: false })
        }
        libc::SYS_fgetxattr => with(name(), |name| {
            let (out, size) = (caller.argument(2), caller.size(3));
            by_descriptor(number, Work::GetAttribute { name, out, size, follow: false })
        }),
        libc::SYS_flistxattr => {
            by_descriptor(number, Work::ListAttributes { out: second, size: caller.size(2), follow: false })
        }
        libc::SYS_fsetxattr => with(value_of(caller), |(name, value)| {
            by_descriptor(number, Work::SetAttribute { name, value, flags: caller.int(4), follow: false })
        }),
        libc::SYS_fremovexattr => {
            with(name(), |name| by_descriptor(number, Work::RemoveAttribute { name, follow: false }))
        }
        _ => None,
    }
}

/// Calls of before `openat(2)`.
#[cfg(target_arch = "x86_64")]
fn old(caller: &Caller<'_>) -> Option<Outcome<Request>> {
    let (path, second) = (caller.argument(0), caller.argument(1));
    let own = |work| one(AT_FDCWD, path, work);
    let to = (AT_FDCWD, second);
    match caller.call.number {
        libc::SYS_open => own(open(caller.int(1), caller.unsigned(2))),
        libc::SYS_creat => own(open(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, caller.unsigned(1))),
        libc::SYS_stat => own(Work::Stat { follow: true, out: second }),
        libc::SYS_lstat => own(Work::Stat { follow: false, out: second }),
        libc::SYS_access => own(Work::Access { mode: caller.int(1), follow: true }),
        libc::SYS_readlink => own(Work::ReadLink { out: second, size: caller.size(2) }),
        libc::SYS_mkdir => own(Work::MakeDir { mode: caller.unsigned(1) }),
        libc::SYS_mknod => own(Work::MakeNode { mode: caller.unsigned(1), device: caller.argument(2) }),
        libc::SYS_rmdir => own(Work::RemoveDir),
        libc::SYS_unlink => own(Work::Unlink),
        libc::SYS_rename => pair((AT_FDCWD, path), to, Pair::Rename { flags: 0 }),
        libc::SYS_link => pair((AT_FDCWD, path), to, Pair::Link { follow: false }),
        libc::SYS_symlink => {
            with(caller.memory().path(path), |text| one(AT_FDCWD, second, Work::Symlink { text }))
        }
        libc::SYS_chmod => own(Work::SetMode { mode: caller.unsigned(1), follow: true }),
        number @ (libc::SYS_chown | libc::SYS_lchown) => own(Work::SetOwner {
            uid: caller.unsigned(1),
            gid: caller.unsigned(2),
            follow: number == libc::SYS_chown,
        }),
        libc::SYS_utime => {
            with(seconds_of(caller, second), |times| own(Work::SetTimes { times, follow: true }))
        }
        libc::SYS_utimes => {
            with(microseconds_of(caller, second), |times| own(Work::SetTimes { times, follow: true }))
        }
        libc::SYS_futimesat if second == 0 => {
            with(microseconds_of(caller, caller.argument(2)), |times| marked(caller.int(0), times))
        }
        libc::SYS_futimesat => with(microseconds_of(caller, caller.argument(2)), |times| {
            one(caller.int(0), second, Work::SetTimes { times, follow: true })
        }),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn old(_: &Caller<'_>) -> Option<Outcome<Request>> {
    None
}

/// Whether a `stat` is of the descriptor itself: without a path.
fn is_of_descriptor(caller: &Caller<'_>, flags: i32) -> bool {
    let mut first = [0];
    flags & AT_EMPTY_PATH != 0
        && (caller.argument(1) == 0
            || (caller.memory().read(caller.argument(1), &mut first).is_ok() && first == [0]))
}

const NOW: Time = Time { seconds: 0, nanoseconds: 0x3FFF_FFFF };

fn times_of(caller: &Caller<'_>, place: u64) -> Outcome<[Time; 2]> {
    if place == 0 {
        return Ok([NOW; 2]);
    }
    let time = |it: libc::timespec| {
        let nanoseconds = u32::try_from(it.tv_nsec).map_err(|_| Errno(libc::EINVAL))?;
        Ok(Time { seconds: it.tv_sec, nanoseconds })
    };
    let [accessed, modified] = caller.memory().value::<[libc::timespec; 2]>(place)?;
    Ok([time(accessed)?, time(modified)?])
}

#[cfg(target_arch = "x86_64")]
fn microseconds_of(caller: &Caller<'_>, place: u64) -> Outcome<[Time; 2]> {
    if place == 0 {
        return Ok([NOW; 2]);
    }
    let time = |it: libc::timeval| match u32::try_from(it.tv_usec) {
        Ok(microseconds @ ..1_000_000) => Ok(Time { seconds: it.tv_sec, nanoseconds: microseconds * 1000 }),
        _ => Err(Errno(libc::EINVAL)),
    };
    let [accessed, modified] = caller.memory().value::<[libc::timeval; 2]>(place)?;
    Ok([time(accessed)?, time(modified)?])
}

#[cfg(target_arch = "x86_64")]
fn seconds_of(caller: &Caller<'_>, place: u64) -> Outcome<[Time; 2]> {
    if place == 0 {
        return Ok([NOW; 2]);
    }
    let times = caller.memory().value::<libc::utimbuf>(place)?;
    Ok([times.actime, times.modtime].map(|seconds| Time { seconds, nanoseconds: 0 }))
}

fn value_of(caller: &Caller<'_>) -> Outcome<(Vec<u8>, Vec<u8>)> {
    if caller.size(3) > LONGEST_VALUE {
        return Err(Errno(libc::ENOSPC));
    }
    let name = caller.memory().path(caller.argument(1))?;
    Ok((name, caller.memory().bytes(caller.argument(2), caller.size(3))?))
}
