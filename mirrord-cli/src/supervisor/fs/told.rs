//! What a memory file says of itself, and what is done by its descriptor: that it is the file there it stands for.

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
    let link = std::ffi::CString::new(link).unwrap_or_default();
    caller.check().map_err(|_| Errno(libc::EINTR))?;
    match told {
        Told::Stat { out, .. } => {
            let mut stat = libc::stat::zeroed();
            // SAFETY: the path is a C string, and the place ours.
            if unsafe { libc::stat(link.as_ptr(), &raw mut stat) } != 0 {
                return Ok(Answer::Continue);
            }
            identity.mark_stat(&mut stat);
            caller.memory().write(*out, stat.as_bytes())?;
        }
        Told::Statx { mask, out, .. } => {
            let mut stat = libc::statx::zeroed();
            // SAFETY: the path is a C string, and the place ours.
            let asked = unsafe { libc::statx(libc::AT_FDCWD, link.as_ptr(), 0, *mask, &raw mut stat) };
            if asked != 0 {
                return Ok(Answer::Continue);
            }
            identity.mark_statx(&mut stat);
            caller.memory().write(*out, stat.as_bytes())?;
        }
    }
    Ok(Answer::Done(0))
}
