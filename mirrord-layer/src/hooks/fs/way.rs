//! Which way a call on a path goes: here as it was said, here under another path, or there.

use std::ffi::{CString, c_char};

use libc::c_int;
use mirrord_core::{
    path,
    rules::fs::{Deed, FsMode},
    verdict::{Errno, Verdict},
};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FsAnswer, FsCall},
    proxy::{FromProxy, ToProxy},
};

use super::place;
use crate::{
    abi::text,
    answer::{self, Answer, Outcome},
    engine::work,
    link,
    process::Process,
};

/// Longer paths are refused by the kernel (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// What becomes of a path.
pub(crate) enum Way {
    /// It is left as it was said.
    Here,
    /// It is left, under this path: it was mapped, or said from a directory that lies there.
    HereAt(CString),
    /// It goes there, under this absolute path.
    There(GuestPath),
    /// The guest sees this error.
    Refused(Errno),
}

/// Runs a call with the path that it is left under, or does it there.
///
/// # Safety
/// `said` is a string of the guest's, or an address that the kernel would refuse.
pub(crate) unsafe fn follow<T: Answer>(
    process: &Process,
    dir: c_int,
    said: *const c_char,
    deed: Deed,
    here: impl Fn(*const c_char) -> T,
    there: impl FnOnce(GuestPath) -> Outcome<T>,
) -> T {
    // SAFETY: the caller promises a string.
    let Some(path) = (unsafe { text::bytes(said) }) else { return here(said) };
    if stays(process, path, deed) {
        return here(said);
    }
    let taken = work(|| match find(process, dir, path, deed) {
        Way::Here => None,
        Way::HereAt(path) => Some(here(path.as_ptr())),
        Way::There(path) => Some(answer::give(there(path))),
        Way::Refused(errno) => Some(answer::give(Err(errno))),
    });
    taken.unwrap_or_else(|| here(said))
}

/// Runs a call with the two paths that it is left under, or does it there; one here and one there are on different
/// file systems (`EXDEV`).
///
/// # Safety
/// As of [`follow`], for both.
pub(crate) unsafe fn follow_both<T: Answer>(
    process: &Process,
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    here: impl Fn(*const c_char, *const c_char) -> T,
    there: impl FnOnce(GuestPath, GuestPath) -> Outcome<T>,
) -> T {
    // SAFETY: the caller promises a string.
    let Some(from_path) = (unsafe { text::bytes(from.1) }) else { return here(from.1, to.1) };
    // SAFETY: the caller promises a string.
    let Some(to_path) = (unsafe { text::bytes(to.1) }) else { return here(from.1, to.1) };
    if stays(process, from_path, Deed::Write) && stays(process, to_path, Deed::Write) {
        return here(from.1, to.1);
    }
    let taken = work(|| {
        let from_way = find(process, from.0, from_path, Deed::Write);
        let to_way = find(process, to.0, to_path, Deed::Write);
        Some(match (from_way, to_way) {
            (Way::Refused(errno), _) | (_, Way::Refused(errno)) => answer::give(Err(errno)),
            (Way::There(from), Way::There(to)) => answer::give(there(from, to)),
            (Way::There(_), _) | (_, Way::There(_)) => answer::give(Err(Errno(libc::EXDEV))),
            (Way::Here, Way::Here) => return None,
            (Way::HereAt(from), Way::Here) => here(from.as_ptr(), to.1),
            (Way::Here, Way::HereAt(to)) => here(from.1, to.as_ptr()),
            (Way::HereAt(from), Way::HereAt(to)) => here(from.as_ptr(), to.as_ptr()),
        })
    });
    taken.unwrap_or_else(|| here(from.1, to.1))
}

/// The quick answer, without memory: an absolute plain path that is left, or a session without files.
fn stays(process: &Process, said: &[u8], deed: Deed) -> bool {
    let rules = &process.rules.fs;
    rules.mode == FsMode::Local
        || (rules.mapping.is_empty()
            && path::is_plain(said)
            && matches!(rules.decide(said, deed, &process.here()), Verdict::Leave(_)))
}

/// Which way a path goes, for those that [`follow`] does not fit. Allocates: to be called within [`work`].
pub(crate) fn find(process: &Process, dir: c_int, said: &[u8], deed: Deed) -> Way {
    if said.is_empty() || said.len() >= MAX_PATH {
        return Way::Here;
    }
    let seen_from = if said.starts_with(b"/") { None } else { Some(place::of(process, dir)) };
    let (is_base_there, base) = match seen_from {
        None => (false, Vec::new()),
        Some(Some(place)) => (place.there, place.path),
        Some(None) => return Way::Here,
    };
    let size = base.len() + said.len() + 2;
    let (mut joined, mut plain) = (vec![0; size], vec![0; size]);
    let Some(joined) = path::join(&base, said, &mut joined) else { return Way::Here };
    let Some(plain) = path::plain(b"/", joined, &mut plain) else { return Way::Here };
    if process.rules.fs.mode != FsMode::Local && process.rules.fs.mapping.is_match(plain) {
        return match map(plain) {
            Ok(mapped) => judge(process, &mapped.0, &mapped.0, deed, true),
            Err(errno) => Way::Refused(errno),
        };
    }
    judge(process, joined, plain, deed, is_base_there)
}

fn judge(process: &Process, path: &[u8], plain: &[u8], deed: Deed, is_moved: bool) -> Way {
    match process.rules.fs.decide(plain, deed, &process.here()) {
        Verdict::Take(()) => Way::There(GuestPath::from(path)),
        Verdict::Refuse(errno) => Way::Refused(errno),
        Verdict::Leave(_) if is_moved => CString::new(path).map_or(Way::Here, Way::HereAt),
        Verdict::Leave(_) => Way::Here,
    }
}

fn map(path: &[u8]) -> Outcome<GuestPath> {
    match link::ask(&ToProxy::Map(GuestPath::from(path))).map_err(answer::lost_file)?.answer {
        FromProxy::Path(path) => Ok(path),
        FromProxy::Failed(fault) => Err(answer::from_fault(&fault)),
        _ => Err(Errno(libc::EIO)),
    }
}

/// Asks for a file call there.
pub(crate) fn ask(call: FsCall) -> Outcome<FsAnswer> {
    match link::ask(&ToProxy::Fs(call)).map_err(answer::lost_file)?.answer {
        FromProxy::Fs(answer) => Ok(answer),
        FromProxy::Failed(fault) => Err(answer::from_fault(&fault)),
        _ => Err(Errno(libc::EIO)),
    }
}

/// Asks for a file call there that only succeeds or fails.
pub(crate) fn ask_done(call: FsCall) -> Outcome<c_int> {
    match ask(call)? {
        FsAnswer::Done => Ok(0),
        _ => Err(Errno(libc::EIO)),
    }
}

/// Asks for a file call there that answers with a path.
pub(crate) fn ask_path(call: FsCall) -> Outcome<Vec<u8>> {
    match ask(call)? {
        FsAnswer::Path(path) => Ok(path.0),
        _ => Err(Errno(libc::EIO)),
    }
}
