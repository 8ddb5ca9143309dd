//! Where a directory of a guest lies, which the kernel tells: here or there, and its path.

use libc::AT_FDCWD;
use mirrord_config::handoff::DataPath;
use mirrord_core::{
    verdict::Errno,
    way::{self, Place},
};
use rustix::fs::{AtFlags, CWD, FileType, StatxFlags};

use super::super::{
    caller::{Caller, Outcome},
    notify::Answer,
};

/// The directory of a `*at` call. Nothing if it is none, which the kernel says better.
pub(super) fn of(caller: &Caller<'_>, dir: i32) -> Option<Place> {
    match dir {
        AT_FDCWD => look(caller, &caller.link("cwd")),
        0.. => look(caller, &caller.link(&format!("fd/{dir}"))),
        _ => None,
    }
}

fn look(caller: &Caller<'_>, link: &str) -> Option<Place> {
    // A folder of the mount is asked for there.
    if caller.supervisor.facts.data_path == DataPath::Proxied {
        caller.turn.hand_over();
    }
    let wanted = StatxFlags::MNT_ID | StatxFlags::TYPE;
    let stat = rustix::fs::statx(CWD, link, AtFlags::empty(), wanted).ok()?;
    if FileType::from_raw_mode(u32::from(stat.stx_mode)) != FileType::Directory {
        return None;
    }
    let path = rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes();
    let knows_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    let is_foreign = knows_mount && caller.guest.is_foreign(stat.stx_mnt_id);
    Some(way::place(&caller.supervisor.facts.path_prefix, is_foreign, path))
}

/// `getcwd(2)`: the kernel has no path for a directory that lies there.
pub(super) fn tell(caller: &Caller<'_>, out: u64, size: usize) -> Outcome<Answer> {
    let Some(Place { there: true, mut path }) = of(caller, AT_FDCWD) else { return Ok(Answer::Continue) };
    if path.ends_with(b" (deleted)") && has_no_name(&caller.link("cwd")) {
        return Err(Errno(libc::ENOENT));
    }
    path.push(0);
    if path.len() > size {
        return Err(Errno(libc::ERANGE));
    }
    caller.memory().write(out, &path)?;
    Ok(Answer::Done(i64::try_from(path.len()).unwrap_or(0)))
}

/// Whether a directory was removed.
fn has_no_name(link: &str) -> bool {
    rustix::fs::stat(link).is_ok_and(|stat| stat.st_nlink == 0)
}
