//! What is done here in the place of a guest, whose path was another: mapped, or seen from a directory that lies there.

use std::{
    ffi::CString,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use libc::{AT_FDCWD, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_DIRECTORY, c_int};
use mirrord_core::{verdict::Errno, way::Way};
use mirrord_protocol::agent::fs::Time;

use super::{
    super::{
        acting::Acting,
        caller::{Caller, Outcome},
        memory::{MOST, Plain},
        notify::Answer,
        step,
    },
    Pair, Work, place,
};

/// Does the work, as the guest's user.
pub(super) fn run(caller: &Caller<'_>, work: &Work, path: &[u8]) -> Outcome<Answer> {
    caller.turn.hand_over();
    let path = text(path)?;
    let memory = caller.memory();
    let acting = Acting::like(caller.call.thread)?;
    match work {
        Work::Open { flags, mode } => {
            if flags & libc::O_PATH != 0 {
                return step::open_path(caller, path.as_bytes_with_nul(), *flags);
            }
            let file = open(&path, *flags, caller.without_umask(*mode))?;
            Ok(Answer::Descriptor(file, flags & O_CLOEXEC != 0))
        }
        Work::Stat { follow, out } => {
            let mut stat = libc::stat::zeroed();
            // SAFETY: the path is a C string, and the place ours.
            done(unsafe { libc::fstatat(AT_FDCWD, path.as_ptr(), &raw mut stat, unfollowed(*follow)) })?;
            memory.write(*out, stat.as_bytes()).map(|()| Answer::Done(0))
        }
        Work::Statx { flags, mask, out, .. } => {
            let mut stat = libc::statx::zeroed();
            // SAFETY: the path is a C string, and the place ours.
            done(unsafe { libc::statx(AT_FDCWD, path.as_ptr(), *flags, *mask, &raw mut stat) })?;
            memory.write(*out, stat.as_bytes()).map(|()| Answer::Done(0))
        }
        Work::StatFs { out } => {
            let mut told = libc::statfs::zeroed();
            // SAFETY: the path is a C string, and the place ours.
            done(unsafe { libc::statfs(path.as_ptr(), &raw mut told) })?;
            memory.write(*out, told.as_bytes()).map(|()| Answer::Done(0))
        }
        Work::ReadLink { out, size } => fill(caller, *out, *size, |room, length| {
            // SAFETY: the path is a C string, and the room ours.
            unsafe { libc::readlink(path.as_ptr(), room.cast(), length) }
        }),
        Work::GetAttribute { name, out, size, follow } => {
            let name = CString::new(name.as_slice()).map_err(|_| Errno(libc::EINVAL))?;
            let get = if *follow { libc::getxattr } else { libc::lgetxattr };
            fill(caller, *out, *size, |room, length| {
                // SAFETY: both are C strings, and the room is ours.
                unsafe { get(path.as_ptr(), name.as_ptr(), room.cast(), length) }
            })
        }
        Work::ListAttributes { out, size, follow } => {
            let list = if *follow { libc::listxattr } else { libc::llistxattr };
            fill(caller, *out, *size, |room, length| {
                // SAFETY: the path is a C string, and the room ours.
                unsafe { list(path.as_ptr(), room.cast(), length) }
            })
        }
        Work::Watch { watcher, mask } => watch(caller, *watcher, &path, *mask),
        Work::ChangeDir => step::stand(caller, &open(&path, O_DIRECTORY, 0)?),
        // Not by the process's own user, as `access(2)` asks otherwise.
        Work::Access { mode, follow } if acting.is_another() => {
            let flags = libc::AT_EACCESS | unfollowed(*follow);
            // SAFETY: the path is a C string.
            done(unsafe { libc::faccessat(AT_FDCWD, path.as_ptr(), *mode, flags) }).map(|()| Answer::Done(0))
        }
        _ => done(simple(caller, work, &path)?).map(|()| Answer::Done(0)),
    }
}

/// Work that only succeeds or fails.
fn simple(caller: &Caller<'_>, work: &Work, path: &CString) -> Outcome<c_int> {
    let path = path.as_ptr();
    let string = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno(libc::EINVAL));
    // SAFETY: in every call below the path is a C string, and so is every other text; what is pointed to is ours and
    // lives as long as the call.
    Ok(match work {
        Work::Access { mode, follow } => {
            // SAFETY: as above.
            unsafe { libc::faccessat(AT_FDCWD, path, *mode, unfollowed(*follow)) }
        }
        // SAFETY: as above.
        Work::MakeDir { mode } => unsafe { libc::mkdir(path, caller.without_umask(*mode)) },
        Work::MakeNode { mode, device } => {
            let mode = (mode & libc::S_IFMT) | caller.without_umask(*mode);
            // SAFETY: as above.
            unsafe { libc::mknod(path, mode, *device) }
        }
        // SAFETY: as above.
        Work::RemoveDir => unsafe { libc::rmdir(path) },
        // SAFETY: as above.
        Work::Unlink => unsafe { libc::unlink(path) },
        Work::Symlink { text } => {
            let text = string(text)?;
            // SAFETY: as above.
            unsafe { libc::symlink(text.as_ptr(), path) }
        }
        Work::SetMode { mode, follow } => {
            // SAFETY: as above.
            unsafe { libc::fchmodat(AT_FDCWD, path, *mode, unfollowed(*follow)) }
        }
        Work::SetOwner { uid, gid, follow } => {
            // SAFETY: as above.
            unsafe { libc::fchownat(AT_FDCWD, path, *uid, *gid, unfollowed(*follow)) }
        }
        Work::SetTimes { times, follow } => {
            let times = times.map(|Time { seconds, nanoseconds }| libc::timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds.into(),
            });
            // SAFETY: as above.
            unsafe { libc::utimensat(AT_FDCWD, path, times.as_ptr(), unfollowed(*follow)) }
        }
        // SAFETY: as above.
        Work::Truncate { size } => unsafe { libc::truncate(path, size.cast_signed()) },
        Work::SetAttribute { name, value, flags, follow } => {
            let name = string(name)?;
            let set = if *follow { libc::setxattr } else { libc::lsetxattr };
            // SAFETY: as above.
            unsafe { set(path, name.as_ptr(), value.as_ptr().cast(), value.len(), *flags) }
        }
        Work::RemoveAttribute { name, follow } => {
            let name = string(name)?;
            let remove = if *follow { libc::removexattr } else { libc::lremovexattr };
            // SAFETY: as above.
            unsafe { remove(path, name.as_ptr()) }
        }
        _ => return Err(Errno(libc::ENOSYS)),
    })
}

/// Does the work on two files, of which at least one is another than was said.
pub(super) fn run_both(caller: &Caller<'_>, pair: Pair, from: &[u8], to: &[u8]) -> Outcome<Answer> {
    caller.turn.hand_over();
    let (from, to) = (text(from)?, text(to)?);
    let _acting = Acting::like(caller.call.thread)?;
    let answer = match pair {
        Pair::Rename { flags } => {
            // SAFETY: both are C strings.
            unsafe { libc::renameat2(AT_FDCWD, from.as_ptr(), AT_FDCWD, to.as_ptr(), flags) }
        }
        Pair::Link { follow } => {
            let flags = if follow { AT_SYMLINK_FOLLOW } else { 0 };
            // SAFETY: both are C strings.
            unsafe { libc::linkat(AT_FDCWD, from.as_ptr(), AT_FDCWD, to.as_ptr(), flags) }
        }
    };
    done(answer).map(|()| Answer::Done(0))
}

/// The path that a call of two is left under, as it can be said by us.
pub(super) fn absolute(caller: &Caller<'_>, dir: i32, way: Way, said: Vec<u8>) -> Outcome<Vec<u8>> {
    match way {
        Way::HereAt(path) => Ok(path),
        _ if said.starts_with(b"/") => Ok(said),
        _ => {
            let mut path = place::of(caller, dir).ok_or(Errno(libc::ENOENT))?.path;
            path.push(b'/');
            path.extend(said);
            Ok(path)
        }
    }
}

/// Has the guest told what happens to a file, by a path that means the same to it and to us.
pub(super) fn watch(caller: &Caller<'_>, watcher: i32, path: &CString, mask: u32) -> Outcome<Answer> {
    caller.turn.hand_over();
    // Where descriptors may not be taken from a guest, it watches by itself.
    if caller.supervisor.sockets.kept.is_some() {
        return step::watch(caller, path.as_bytes_with_nul(), watcher, mask);
    }
    let watcher = caller.duplicate(watcher).ok_or(Errno(libc::EBADF))?;
    // SAFETY: the path is a C string.
    let watch = unsafe { libc::inotify_add_watch(watcher.as_raw_fd(), path.as_ptr(), mask) };
    done(watch.min(0)).map(|()| Answer::Done(watch.into()))
}

/// Opens a file as the guest's user.
pub(super) fn open_as(caller: &Caller<'_>, path: &[u8], flags: i32) -> Outcome<OwnedFd> {
    let path = text(path)?;
    let _acting = Acting::like(caller.call.thread)?;
    open(&path, flags, 0)
}

fn open(path: &CString, flags: i32, mode: u32) -> Outcome<OwnedFd> {
    // SAFETY: the path is a C string.
    let number = unsafe { libc::open(path.as_ptr(), flags | O_CLOEXEC | libc::O_NOCTTY, mode) };
    done(number.min(0))?;
    // SAFETY: the descriptor is fresh, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn text(path: &[u8]) -> Outcome<CString> {
    CString::new(path).map_err(|_| Errno::ENOENT)
}

/// Gives the guest bytes that a call of ours writes.
fn fill(
    caller: &Caller<'_>,
    out: u64,
    size: usize,
    call: impl FnOnce(*mut u8, usize) -> isize,
) -> Outcome<Answer> {
    let mut room = vec![0; size.min(MOST)];
    let length = call(room.as_mut_ptr(), room.len());
    let Ok(filled) = usize::try_from(length) else { return Err(last()) };
    caller.memory().write(out, &room[..filled.min(room.len())])?;
    Ok(Answer::Done(i64::try_from(length).unwrap_or(0)))
}

fn unfollowed(follow: bool) -> c_int {
    if follow { 0 } else { AT_SYMLINK_NOFOLLOW }
}

fn done(answer: c_int) -> Outcome<()> {
    if answer < 0 { Err(last()) } else { Ok(()) }
}

fn last() -> Errno {
    Errno(nix::errno::Errno::last_raw())
}
