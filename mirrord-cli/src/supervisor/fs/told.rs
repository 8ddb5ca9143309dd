//! What a memory file says of itself, and what is done by its descriptor: that it is the file there it stands for.

use std::{ffi::CString, os::unix::fs::MetadataExt};

use mirrord_core::{rules::fs::Deed, verdict::Errno, way::permit_change};
use mirrord_guest::stat::Identity;
use mirrord_protocol::GuestPath;

use super::{
    super::{
        caller::{Caller, Outcome},
        memory::Plain,
        notify::Answer,
    },
    Work, here, there,
};

/// What is asked of a descriptor.
pub(super) enum Told {
    /// `fstat(2)`, in any spelling.
    Stat { number: i32, out: u64 },
    /// `statx(2)` without a path.
    Statx { number: i32, mask: u32, out: u64 },
}

/// The file that a descriptor stands for, and its path there; empty if that is not known.
fn file_of(link: &str) -> Option<(Identity, GuestPath)> {
    let name = rustix::fs::readlink(link, Vec::new()).ok()?;
    let (identity, path) = Identity::parse(name.as_bytes())?;
    Some((identity, GuestPath::from(path)))
}

/// Whether a descriptor is a copy of a file there.
pub(super) fn is_copy(caller: &Caller<'_>, number: i32) -> bool {
    file_of(&caller.link(&format!("fd/{number}"))).is_some()
}

/// Does by a descriptor what is done to the file there, if it is a copy of one.
pub(super) fn act(caller: &Caller<'_>, number: i32, work: &Work) -> Outcome<Answer> {
    let link = caller.link(&format!("fd/{number}"));
    let Some((identity, path)) = file_of(&link) else { return Ok(Answer::Continue) };
    caller.check().map_err(|_| Errno(libc::EINTR))?;
    if work.deed() == Deed::Write {
        permit_change(&caller.program.rules.fs, &caller.here(), path.as_bytes())?;
    }
    // A file that was opened may be elsewhere by now, and another one in its place.
    match there::look(caller, path.clone(), false) {
        Ok(told) if identity.is_of(&told) => {}
        Ok(_) | Err(Errno::ENOENT) => return Err(Errno(libc::ESTALE)),
        Err(errno) => return Err(errno),
    }
    let answer = there::run(caller, work, path)?;
    // The copy says it, too; one that is somebody else's says what it said.
    match work {
        Work::SetMode { mode, .. } => {
            let _ = here::run(caller, &Work::SetMode { mode: *mode, follow: true }, link.as_bytes());
        }
        Work::SetTimes { times, .. } => {
            let _ = here::run(caller, &Work::SetTimes { times: *times, follow: true }, link.as_bytes());
        }
        _ => {}
    }
    Ok(answer)
}

/// The answer, if the descriptor is such a file's.
pub(super) fn answer(caller: &Caller<'_>, told: &Told) -> Outcome<Answer> {
    let (Told::Stat { number, .. } | Told::Statx { number, .. }) = told;
    let link = caller.link(&format!("fd/{number}"));
    let Some((identity, _)) = file_of(&link) else { return Ok(Answer::Continue) };
    caller.check().map_err(|_| Errno(libc::EINTR))?;
    match told {
        Told::Stat { out, .. } => mark_stat(caller, &identity, &link, *out),
        Told::Statx { mask, out, .. } => mark_statx(caller, &identity, &link, (*mask, *out)),
    }
}

/// The same for what is asked by a path that leads to a descriptor, as the kernel shows them.
pub(super) fn by_path(caller: &Caller<'_>, said: &[u8], work: &Work) -> Outcome<Answer> {
    let Some(link) = link_of(caller, said, work) else { return Ok(Answer::Continue) };
    let Some((identity, path)) = file_of(&link) else { return Ok(Answer::Continue) };
    caller.check().map_err(|_| Errno(libc::EINTR))?;
    match work {
        Work::Stat { out, .. } => mark_stat(caller, &identity, &link, *out),
        Work::Statx { mask, out, .. } => mark_statx(caller, &identity, &link, (*mask, *out)),
        Work::ReadLink { out, size } if !path.as_bytes().is_empty() => {
            let cut = &path.as_bytes()[..path.as_bytes().len().min(*size)];
            caller.memory().write(*out, cut)?;
            Ok(Answer::Done(i64::try_from(cut.len()).unwrap_or(0)))
        }
        _ => Ok(Answer::Continue),
    }
}

/// Where the supervisor sees the descriptor to which a path of a guest leads, if that is asked which `work` asks.
fn link_of(caller: &Caller<'_>, said: &[u8], work: &Work) -> Option<String> {
    let follows = match work {
        Work::Stat { follow, .. } | Work::Statx { follow, .. } => *follow,
        Work::ReadLink { size, .. } => *size > 0,
        _ => false,
    };
    let said = std::str::from_utf8(said).ok().filter(|_| follows)?;
    // These are links to links.
    let standard = ["/dev/stdin", "/dev/stdout", "/dev/stderr"].iter().position(|it| *it == said);
    if let Some(number) = standard {
        return (!matches!(work, Work::ReadLink { .. })).then(|| caller.link(&format!("fd/{number}")));
    }
    if let Some(number) = said.strip_prefix("/dev/fd/") {
        return Some(caller.link(&format!("fd/{number}")));
    }
    let (process, rest) = said.strip_prefix("/proc/")?.split_once('/')?;
    let is_descriptor = rest.starts_with("fd/") || rest.starts_with("task/") && rest.contains("/fd/");
    match process {
        _ if !is_descriptor || rest.contains("..") => None,
        "self" | "thread-self" => Some(caller.link(rest)),
        other if other.bytes().all(|byte| byte.is_ascii_digit()) => {
            // What a guest could not look at itself it is not told of.
            let owner = |link: String| std::fs::metadata(link).map(|it| it.uid()).ok();
            (owner(format!("/proc/{other}"))? == owner(caller.link(""))?).then(|| said.to_owned())
        }
        _ => None,
    }
}

fn mark_stat(caller: &Caller<'_>, identity: &Identity, link: &str, out: u64) -> Outcome<Answer> {
    let link = CString::new(link).unwrap_or_default();
    let mut stat = libc::stat::zeroed();
    // SAFETY: the path is a C string, and the place ours.
    if unsafe { libc::stat(link.as_ptr(), &raw mut stat) } != 0 {
        return Ok(Answer::Continue);
    }
    identity.mark_stat(&mut stat);
    caller.memory().write(out, stat.as_bytes()).map(|()| Answer::Done(0))
}

fn mark_statx(
    caller: &Caller<'_>,
    identity: &Identity,
    link: &str,
    (mask, out): (u32, u64),
) -> Outcome<Answer> {
    let link = CString::new(link).unwrap_or_default();
    let mut stat = libc::statx::zeroed();
    // SAFETY: the path is a C string, and the place ours.
    if unsafe { libc::statx(libc::AT_FDCWD, link.as_ptr(), 0, mask, &raw mut stat) } != 0 {
        return Ok(Answer::Continue);
    }
    identity.mark_statx(&mut stat);
    caller.memory().write(out, stat.as_bytes()).map(|()| Answer::Done(0))
}
