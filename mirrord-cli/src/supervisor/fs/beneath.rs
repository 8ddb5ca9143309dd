//! Names in a folder there that the guest has open: the kernel says of them what the agent would, without a question.
//!
//! As the layer's file of this name; the call is made by us, through the guest's descriptor as `/proc` shows it.

use std::ffi::CString;

use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFLNK, S_IFMT};
use mirrord_core::{verdict::Errno, way};

use super::{
    super::{
        caller::{Caller, Outcome},
        memory::Plain,
        notify::Answer,
    },
    Said, Work, place,
};

/// What is told of a name; nothing if it must be asked.
pub(super) fn tell(caller: &Caller<'_>, said: &Said, name: &[u8], work: &Work) -> Option<Outcome<Answer>> {
    let (Work::Stat { follow, .. } | Work::Statx { follow, .. }) = work else { return None };
    if !caller.supervisor.facts.looks_alike || said.dir < 0 || !way::is_one_name(name) {
        return None;
    }
    let place = place::of(caller, said.dir).filter(|place| place.there)?;
    let base = place.path.strip_suffix(b"/").unwrap_or(&place.path);
    if caller.program.rules.fs.mapping.is_match(&[base, b"/", name].concat()) {
        return None;
    }
    let folder = caller.link(&format!("fd/{}", said.dir));
    if !rustix::fs::stat(&folder).is_ok_and(|stat| way::is_open_to_all(stat.st_mode)) {
        return None;
    }
    let path = CString::new([folder.as_bytes(), b"/", name].concat()).ok()?;
    let is_elsewhere = |mode: u32| *follow && mode & S_IFMT == S_IFLNK;
    let written = match work {
        Work::Stat { out, .. } => {
            let mut told = libc::stat::zeroed();
            // SAFETY: the path is a C string, and the place ours.
            let status = unsafe { libc::lstat(path.as_ptr(), &raw mut told) };
            if status == 0 && is_elsewhere(told.st_mode) {
                return None;
            }
            found(status)?.and_then(|()| caller.memory().write(*out, told.as_bytes()))
        }
        Work::Statx { flags, mask, out, .. } => {
            let mut told = libc::statx::zeroed();
            let (flags, mask) = (flags | AT_SYMLINK_NOFOLLOW, mask | libc::STATX_TYPE);
            // SAFETY: the path is a C string, and the place ours.
            let status = unsafe { libc::statx(AT_FDCWD, path.as_ptr(), flags, mask, &raw mut told) };
            if status == 0 && is_elsewhere(told.stx_mode.into()) {
                return None;
            }
            found(status)?.and_then(|()| caller.memory().write(*out, told.as_bytes()))
        }
        _ => return None,
    };
    Some(written.map(|()| Answer::Done(0)))
}

/// What is not there is known, too; other errors are not.
fn found(status: i32) -> Option<Outcome<()>> {
    match status {
        0 => Some(Ok(())),
        _ if nix::errno::Errno::last_raw() == libc::ENOENT => Some(Err(Errno::ENOENT)),
        _ => None,
    }
}
