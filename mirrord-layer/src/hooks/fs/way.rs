//! Which way a call on a path goes: here as it was said, here under another path, or there.

use std::{
    ffi::{CString, c_char},
    mem::ManuallyDrop,
};

use libc::c_int;
use mirrord_core::{rules::fs::Deed, verdict::Errno, way};
use mirrord_protocol::{
    GuestPath,
    agent::fs::{FsAnswer, FsCall},
    proxy::{FromProxy, ToProxy},
};

use super::place;
use crate::{
    abi::text,
    answer::{self, Answer, Outcome},
    arena::Scope,
    engine::caught,
    link,
    process::Process,
};

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
/// `here` runs outside of every catch and with nothing left to drop: a thread may be cancelled in it, which unwinds
/// by another unwinder than ours.
///
/// # Safety
/// `said` is a string of the guest's, or an address that the kernel would refuse.
pub(crate) unsafe fn follow<T: Answer>(
    process: &Process,
    dir: c_int,
    said: *const c_char,
    deed: Deed,
    here: impl Fn(*const c_char) -> T + Copy,
    there: impl FnOnce(GuestPath) -> Outcome<T> + Copy,
) -> T {
    // SAFETY: the caller promises a string.
    let Some(path) = (unsafe { text::bytes(said) }) else { return here(said) };
    if stays(process, path, deed) || stays_beneath(dir, path) {
        return here(said);
    }
    let scope = ManuallyDrop::new(Scope::enter());
    let (answer, path) = match caught(|| Some(taken(find(process, dir, path, deed), there))) {
        Some(Ok(answer)) => (Some(answer), said),
        Some(Err(Some(path))) => (None, path.into_raw().cast_const()),
        Some(Err(None)) | None => (None, said),
    };
    // What lies in the arena is needed until the call ends.
    let answer = match answer {
        Some(answer) => answer,
        None => here(path),
    };
    drop(ManuallyDrop::into_inner(scope));
    answer
}

/// The answer of a call that is taken, or the other path that it is left under.
fn taken<T: Answer>(way: Way, there: impl FnOnce(GuestPath) -> Outcome<T>) -> Result<T, Option<CString>> {
    match way {
        Way::Here => Err(None),
        Way::HereAt(path) => Err(Some(path)),
        Way::There(path) => Ok(answer::give(there(path))),
        Way::Refused(errno) => Ok(answer::give(Err(errno))),
    }
}

/// Runs a call with the two paths that it is left under, or does it there; one here and one there are on different
/// file systems (`EXDEV`).
///
/// # Safety
/// As of [`follow`], for both.
pub(crate) unsafe fn follow_both(
    process: &Process,
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    here: impl Fn(*const c_char, *const c_char) -> c_int + Copy,
    there: impl FnOnce(GuestPath, GuestPath) -> Outcome<c_int>,
) -> c_int {
    // SAFETY: the caller promises a string.
    let Some(from_path) = (unsafe { text::bytes(from.1) }) else { return here(from.1, to.1) };
    // SAFETY: the caller promises a string.
    let Some(to_path) = (unsafe { text::bytes(to.1) }) else { return here(from.1, to.1) };
    if stays(process, from_path, Deed::Write) && stays(process, to_path, Deed::Write) {
        return here(from.1, to.1);
    }
    let _scope = Scope::enter();
    let ways = caught(|| {
        let from_way = find(process, from.0, from_path, Deed::Write);
        Some((from_way, find(process, to.0, to_path, Deed::Write)))
    });
    let or_said = |way: &Way, said| match way {
        Way::HereAt(path) => path.as_ptr(),
        _ => said,
    };
    match ways.unwrap_or((Way::Here, Way::Here)) {
        (Way::Refused(errno), _) | (_, Way::Refused(errno)) => answer::give(Err(errno)),
        (Way::There(from), Way::There(to)) => caught(|| Some(answer::give(there(from, to))))
            .unwrap_or_else(|| answer::give(Err(Errno(libc::EIO)))),
        (Way::There(_), _) | (_, Way::There(_)) => answer::give(Err(Errno(libc::EXDEV))),
        (from_way, to_way) => here(or_said(&from_way, from.1), or_said(&to_way, to.1)),
    }
}

/// Whether a path is looked at there, for calls that then look by themselves, path by path.
///
/// # Safety
/// As of [`follow`].
pub(crate) unsafe fn leads_there(process: &Process, said: *const c_char) -> bool {
    // SAFETY: the caller promises a string.
    let Some(path) = (unsafe { text::bytes(said) }) else { return false };
    if stays(process, path, Deed::Read) {
        return false;
    }
    let find = || Some(!matches!(find(process, libc::AT_FDCWD, path, Deed::Read), Way::Here));
    let _scope = Scope::enter();
    caught(find).unwrap_or(false)
}

/// The quick answer, without memory.
fn stays(process: &Process, said: &[u8], deed: Deed) -> bool {
    way::stays(&process.rules.fs, &process.here(), said, deed)
}

/// The quick answer for a name in a folder that is known to keep all that it holds.
fn stays_beneath(dir: c_int, said: &[u8]) -> bool {
    dir >= 0
        && !matches!(said.first(), None | Some(b'/'))
        && !said.split(|byte| *byte == b'/').any(|name| name == b"..")
        && place::is_known_to_keep(dir)
}

/// Which way a path goes, for those that [`follow`] does not fit. Allocates: to be called within [`work`].
pub(crate) fn find(process: &Process, dir: c_int, said: &[u8], deed: Deed) -> Way {
    let (rules, here) = (&process.rules.fs, process.here());
    let seen_from = || {
        let place = place::of(process, dir)?;
        if !place.there && rules.keeps_all_beneath(&place.path, &here) {
            place::record_keeping(dir);
        }
        Some(place)
    };
    match way::find(rules, &here, seen_from, said, deed) {
        way::Way::Map(plain) => match map(plain) {
            Ok(mapped) => of_core(way::judge_mapped(rules, &here, &mapped.0, deed)),
            Err(errno) => Way::Refused(errno),
        },
        found => of_core(found),
    }
}

/// As the C library takes it.
fn of_core(found: way::Way) -> Way {
    match found {
        way::Way::Here | way::Way::Map(_) => Way::Here,
        way::Way::HereAt(path) => CString::new(path).map_or(Way::Here, Way::HereAt),
        way::Way::There(path) => Way::There(path),
        way::Way::Refused(errno) => Way::Refused(errno),
    }
}

fn map(path: GuestPath) -> Outcome<GuestPath> {
    match link::ask(&ToProxy::Map(path)).map_err(answer::lost_file)?.answer {
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
