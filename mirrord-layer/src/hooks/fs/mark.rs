//! Calls that change what a file says of itself: mode, owner, times, size.

use std::ffi::{c_char, c_int};

use libc::{
    AT_FDCWD, AT_SYMLINK_NOFOLLOW, UTIME_NOW, gid_t, mode_t, off_t, timespec, timeval, uid_t, utimbuf,
};
use mirrord_core::{rules::fs::Deed, verdict::Errno};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FsCall, Time},
};

use super::{copied, way};
use crate::{
    abi::{is_plausible, stat::permissions},
    answer::Outcome,
    engine::table::fs::original,
    process::Process,
};

pub(crate) unsafe fn chmod(process: &Process, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::chmod()(path, mode) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, |path| set_mode(path, mode, true)) }
}

pub(crate) unsafe fn lchmod(process: &Process, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lchmod()(path, mode) };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, |path| set_mode(path, mode, false)) }
}

pub(crate) unsafe fn fchmodat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    mode: mode_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::fchmodat()(dir, path, mode, flags) };
    // SAFETY: as above.
    if unsafe { copied::is_meant(path, flags) } {
        let call = |path| Ok(FsCall::ChangeMode { path, mode: permissions(mode), follow: false });
        return copied::mark(process, dir, || here(path), call);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, |path| set_mode(path, mode, follow)) }
}

fn set_mode(path: GuestPath, mode: mode_t, follow: bool) -> Outcome<c_int> {
    way::ask_done(FsCall::ChangeMode { path, mode: permissions(mode), follow })
}

pub(crate) unsafe fn chown(process: &Process, path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::chown()(path, uid, gid) };
    let there = |path| way::ask_done(FsCall::ChangeOwner { path, uid, gid, follow: true });
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn lchown(process: &Process, path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lchown()(path, uid, gid) };
    let there = |path| way::ask_done(FsCall::ChangeOwner { path, uid, gid, follow: false });
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn fchownat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    uid: uid_t,
    gid: gid_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::fchownat()(dir, path, uid, gid, flags) };
    // SAFETY: as above.
    if unsafe { copied::is_meant(path, flags) } {
        let call = |path| Ok(FsCall::ChangeOwner { path, uid, gid, follow: false });
        return copied::change(process, dir, || here(path), call);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    let there = |path| way::ask_done(FsCall::ChangeOwner { path, uid, gid, follow });
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, there) }
}

const NOW: Time = Time { seconds: 0, nanoseconds: nanoseconds(UTIME_NOW) };

/// Nanoseconds, or what stands for a moment in their place; what is neither, the kernel there refuses.
const fn nanoseconds(said: i64) -> u32 {
    if said < 0 || said > u32::MAX as i64 {
        return u32::MAX;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was just compared")]
    let nanoseconds = said as u32;
    nanoseconds
}

pub(crate) unsafe fn utime(process: &Process, path: *const c_char, times: *const utimbuf) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::utime()(path, times) };
    let there = |path| {
        let moment = |seconds| Time { seconds, nanoseconds: 0 };
        // SAFETY: as above.
        let said = unsafe { read(times) }?;
        let times = said.map_or([NOW; 2], |said| [moment(said.actime), moment(said.modtime)]);
        set_times(path, times, true)
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn utimes(process: &Process, path: *const c_char, times: *const timeval) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::utimes()(path, times) };
    // SAFETY: as above.
    let there = |path| set_times(path, unsafe { from_microseconds(times) }?, true);
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn lutimes(process: &Process, path: *const c_char, times: *const timeval) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::lutimes()(path, times) };
    // SAFETY: as above.
    let there = |path| set_times(path, unsafe { from_microseconds(times) }?, false);
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn futimesat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    times: *const timeval,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::futimesat()(dir, path, times) };
    if path.is_null() {
        // SAFETY: as above.
        return unsafe { copied::futimes(process, dir, times) };
    }
    // SAFETY: as above.
    let there = |path| set_times(path, unsafe { from_microseconds(times) }?, true);
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, there) }
}

pub(crate) unsafe fn utimensat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    times: *const timespec,
    flags: c_int,
) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::utimensat()(dir, path, times, flags) };
    // SAFETY: as above.
    if unsafe { copied::is_meant(path, flags) } {
        // SAFETY: as above.
        let call =
            |path| unsafe { moments(times) }.map(|times| FsCall::SetTimes { path, times, follow: false });
        return copied::mark(process, dir, || here(path), call);
    }
    // SAFETY: as above.
    let there = |path| set_times(path, unsafe { moments(times) }?, flags & AT_SYMLINK_NOFOLLOW == 0);
    // SAFETY: as above.
    unsafe { way::follow(process, dir, path, Deed::Write, here, there) }
}

/// # Safety
/// `times` is null, or two structures.
pub(super) unsafe fn moments(times: *const timespec) -> Outcome<[Time; 2]> {
    // SAFETY: the caller promises them.
    let said = unsafe { read(times.cast::<[timespec; 2]>()) }?;
    let moment = |time: timespec| Time { seconds: time.tv_sec, nanoseconds: nanoseconds(time.tv_nsec) };
    Ok(said.map_or([NOW; 2], |said| said.map(moment)))
}

/// A structure of the guest's; nothing for null.
///
/// # Safety
/// What is there is such a structure.
unsafe fn read<T: Copy>(place: *const T) -> Outcome<Option<T>> {
    if place.is_null() {
        return Ok(None);
    }
    if !is_plausible(place) {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller promises it.
    Ok(Some(unsafe { place.read_unaligned() }))
}

/// # Safety
/// `times` is null, or two structures.
pub(super) unsafe fn from_microseconds(times: *const timeval) -> Outcome<[Time; 2]> {
    // SAFETY: the caller promises them.
    let Some(said) = unsafe { read(times.cast::<[timeval; 2]>()) }? else { return Ok([NOW; 2]) };
    if said.iter().any(|time| !(0..1_000_000).contains(&time.tv_usec)) {
        return Err(Errno(libc::EINVAL));
    }
    Ok(said.map(|time| Time { seconds: time.tv_sec, nanoseconds: nanoseconds(time.tv_usec * 1000) }))
}

fn set_times(path: GuestPath, times: [Time; 2], follow: bool) -> Outcome<c_int> {
    way::ask_done(FsCall::SetTimes { path, times, follow })
}

pub(crate) unsafe fn truncate(process: &Process, path: *const c_char, size: off_t) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::truncate()(path, size) };
    let there = |path| {
        let size = u64::try_from(size).map_err(|_| Errno(libc::EINVAL))?;
        way::ask_done(FsCall::Truncate { path, size })
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Write, here, there) }
}
