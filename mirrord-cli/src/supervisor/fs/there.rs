//! What is done there, by asking the proxy.

use std::os::fd::{AsRawFd, OwnedFd};

use libc::{
    O_CLOEXEC, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_TMPFILE, O_TRUNC, S_IFLNK, S_IFMT, S_IFREG,
};
use mirrord_config::handoff::DataPath;
use mirrord_core::{
    known::{Known, Moment},
    verdict::Errno,
};
use mirrord_guest::stat;
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsAnswer, FsCall},
    proxy::{FromProxy, ToProxy},
};

use rustix::time::{ClockId, clock_gettime};

use super::{
    super::{
        caller::{Caller, Outcome, settle},
        memory::Plain,
        notify::Answer,
        step,
    },
    LOST, Pair, Work, here,
};

/// Does the work.
pub(super) fn run(caller: &Caller<'_>, work: &Work, path: GuestPath) -> Outcome<Answer> {
    let memory = caller.memory();
    match work {
        Work::Open { flags, mode } => {
            if flags & (O_CREAT | O_TRUNC) != 0 || flags & O_TMPFILE == O_TMPFILE {
                caller.find_room()?;
            }
            let file = open(caller, path, *flags, *mode)?;
            if flags & O_PATH != 0 {
                // The kernel gives no such descriptor to another process, so the guest opens ours, as `/proc` shows it.
                let path = format!("/proc/{}/fd/{}\0", std::process::id(), file.as_raw_fd());
                return step::open_path(caller, path.as_bytes(), flags & O_CLOEXEC);
            }
            Ok(Answer::Descriptor(file, flags & O_CLOEXEC != 0))
        }
        Work::Stat { follow, out } => {
            let told = stat::stat(&known_or_look(caller, &path, *follow)?);
            memory.write(*out, told.as_bytes()).map(|()| Answer::Done(0))
        }
        Work::Statx { follow, out, .. } => {
            let told = stat::statx(&known_or_look(caller, &path, *follow)?);
            memory.write(*out, told.as_bytes()).map(|()| Answer::Done(0))
        }
        Work::ReadLink { size: 0, .. } => Err(Errno(libc::EINVAL)),
        Work::ReadLink { out, size } => match ask(caller, FsCall::ReadLink(path))? {
            FsAnswer::Path(text) => {
                let cut = &text.0[..text.0.len().min(*size)];
                memory.write(*out, cut)?;
                Ok(number(cut.len()))
            }
            _ => Err(LOST),
        },
        Work::StatFs { out } => match ask(caller, FsCall::StatFs(path))? {
            FsAnswer::FileSystem(told) => {
                memory.write(*out, stat::statfs(&told).as_bytes())?;
                Ok(Answer::Done(0))
            }
            _ => Err(LOST),
        },
        Work::GetAttribute { name, out, size, follow } => {
            let call = FsCall::GetAttribute { path, name: name.clone().into(), follow: *follow };
            give(caller, ask(caller, call)?, *out, *size)
        }
        Work::ListAttributes { out, size, follow } => {
            give(caller, ask(caller, FsCall::ListAttributes { path, follow: *follow })?, *out, *size)
        }
        Work::Watch { watcher, mask } => {
            let follow = if mask & libc::IN_DONT_FOLLOW == 0 { 0 } else { O_NOFOLLOW };
            let file = open(caller, path, O_PATH | O_CLOEXEC | follow, 0)?;
            let link = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            let link = std::ffi::CString::new(link).map_err(|_| LOST)?;
            here::watch(caller, *watcher, &link, mask & !libc::IN_DONT_FOLLOW)
        }
        Work::ChangeDir => {
            let dir = open(caller, path, O_DIRECTORY | O_CLOEXEC, 0)?;
            step::stand(caller, &dir)
        }
        _ => match ask(caller, simple(caller, work, path)?)? {
            FsAnswer::Done => Ok(Answer::Done(0)),
            _ => Err(LOST),
        },
    }
}

/// Work that only succeeds or fails.
fn simple(caller: &Caller<'_>, work: &Work, path: GuestPath) -> Outcome<FsCall> {
    Ok(match work {
        Work::Access { mode, follow } => FsCall::Access { path, mode: *mode, follow: *follow },
        Work::MakeDir { mode } => FsCall::MakeDir { path, mode: caller.without_umask(*mode) },
        Work::MakeNode { mode, .. } => {
            let kind = if mode & S_IFMT == 0 { S_IFREG } else { mode & S_IFMT };
            if matches!(kind, libc::S_IFCHR | libc::S_IFBLK) {
                return Err(Errno(libc::EPERM));
            }
            FsCall::MakeNode { path, mode: kind | caller.without_umask(*mode) }
        }
        Work::RemoveDir => FsCall::RemoveDir(path),
        Work::Unlink => FsCall::Unlink(path),
        Work::Symlink { text } => FsCall::Symlink { text: GuestPath::from(text.as_slice()), path },
        Work::SetMode { mode, follow } => {
            FsCall::ChangeMode { path, mode: stat::permissions(*mode), follow: *follow }
        }
        Work::SetOwner { uid, gid, follow } => {
            FsCall::ChangeOwner { path, uid: *uid, gid: *gid, follow: *follow }
        }
        Work::SetTimes { times, follow } => FsCall::SetTimes { path, times: *times, follow: *follow },
        Work::Truncate { size } => {
            if size.cast_signed() < 0 {
                return Err(Errno(libc::EINVAL));
            }
            FsCall::Truncate { path, size: *size }
        }
        Work::SetAttribute { name, value, flags, follow } => FsCall::SetAttribute {
            path,
            name: name.clone().into(),
            value: value.clone().into(),
            flags: *flags,
            follow: *follow,
        },
        Work::RemoveAttribute { name, follow } => {
            FsCall::RemoveAttribute { path, name: name.clone().into(), follow: *follow }
        }
        _ => return Err(LOST),
    })
}

/// Does the work on two files.
pub(super) fn run_both(caller: &Caller<'_>, pair: Pair, from: GuestPath, to: GuestPath) -> Outcome<Answer> {
    let call = match pair {
        Pair::Rename { flags } => FsCall::Rename { from, to, flags },
        Pair::Link { follow } => FsCall::Link { from, to, follow },
    };
    match ask(caller, call)? {
        FsAnswer::Done => Ok(Answer::Done(0)),
        _ => Err(LOST),
    }
}

/// Opens a file there.
pub(super) fn open(caller: &Caller<'_>, path: GuestPath, flags: i32, mode: u32) -> Outcome<OwnedFd> {
    let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode = if creates { caller.without_umask(mode) } else { 0 };
    match settle(caller.ask(&ToProxy::Open { path, flags, mode }), LOST)? {
        (FromProxy::Object, mut files) => files.pop().ok_or(LOST),
        _ => Err(LOST),
    }
}

/// Asks for a file's attributes there.
pub(super) fn look(caller: &Caller<'_>, path: GuestPath, follow: bool) -> Outcome<FileStat> {
    match ask(caller, FsCall::Stat { path, follow })? {
        FsAnswer::Stat(stat) => Ok(stat),
        _ => Err(LOST),
    }
}

/// The same, if nobody has told them of late: along with those of another name, before something was changed.
fn known_or_look(caller: &Caller<'_>, path: &GuestPath, follow: bool) -> Outcome<FileStat> {
    static KNOWN: Known = Known::new();
    if caller.supervisor.facts.data_path == DataPath::Passed {
        return look(caller, path.clone(), follow);
    }
    let now = || {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        let milliseconds = time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000;
        Moment { n_changes: caller.supervisor.n_changes(), milliseconds }
    };
    let before = now();
    let leads_elsewhere = |stat: &FileStat| follow && stat.mode & S_IFMT == S_IFLNK;
    if let Some(stat) = KNOWN.find(path.as_bytes(), before).filter(|stat| !leads_elsewhere(stat)) {
        return Ok(stat);
    }
    let question = ToProxy::Look { path: path.clone(), follow, n_more: KNOWN.begin_asking() };
    let FromProxy::Looked(looked) = settle(caller.ask(&question), LOST)?.0 else { return Err(LOST) };
    let milliseconds = before.milliseconds + u64::from(looked.milliseconds);
    let until = Moment { n_changes: looked.n_changes, milliseconds };
    looked.each(path, |folder, name, stat| KNOWN.record(folder, name, stat, until, before));
    Ok(looked.stat)
}

fn ask(caller: &Caller<'_>, call: FsCall) -> Outcome<FsAnswer> {
    match settle(caller.ask(&ToProxy::Fs(call)), LOST)?.0 {
        FromProxy::Fs(answer) => Ok(answer),
        _ => Err(LOST),
    }
}

/// Gives the guest bytes; no room at all asks for their number.
fn give(caller: &Caller<'_>, answer: FsAnswer, out: u64, size: usize) -> Outcome<Answer> {
    let FsAnswer::Bytes(bytes) = answer else { return Err(LOST) };
    if size > 0 {
        if bytes.len() > size {
            return Err(Errno(libc::ERANGE));
        }
        caller.memory().write(out, &bytes)?;
    }
    Ok(number(bytes.len()))
}

fn number(length: usize) -> Answer {
    Answer::Done(i64::try_from(length).unwrap_or(0))
}
