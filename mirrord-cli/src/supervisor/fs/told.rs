//! What a memory file says of itself: that it is the file there for which it stands.

use mirrord_core::verdict::Errno;
use mirrord_guest::stat::Identity;

use super::super::{
    caller::{Caller, Outcome},
    memory::Plain,
    notify::Answer,
};

/// What is asked of a descriptor.
pub(super) enum Told {
    /// `fstat(2)`, in any spelling.
    Stat { number: i32, out: u64 },
    /// `statx(2)` without a path.
    Statx { number: i32, mask: u32, out: u64 },
}

/// The answer, if the descriptor is such a file's.
pub(super) fn answer(caller: &Caller<'_>, told: &Told) -> Outcome<Answer> {
    let (Told::Stat { number, .. } | Told::Statx { number, .. }) = told;
    let link = caller.link(&format!("fd/{number}"));
    let Some(identity) =
        rustix::fs::readlink(&link, Vec::new()).ok().and_then(|name| Identity::parse(name.as_bytes()))
    else {
        return Ok(Answer::Continue);
    };
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
