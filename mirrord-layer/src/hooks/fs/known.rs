//! Attributes where files are proxied: asked for along with those of the next names, and known until something changes.

use std::sync::atomic::Ordering;

use mirrord_core::{
    known::{Known, Moment},
    verdict::Errno,
};
use mirrord_protocol::{
    GuestPath,
    agent::fs::FileStat,
    proxy::{FromProxy, Looked, ToProxy},
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    answer::{self, Outcome},
    link, process,
};

static KNOWN: Known = Known::new();

/// The attributes of a file; nothing if they must be asked for in another way.
pub(super) fn look(path: &GuestPath, follow: bool) -> Option<Outcome<FileStat>> {
    let changes = process::get()?.changes?;
    let now = || {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        let milliseconds = time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000;
        Moment { n_changes: changes.load(Ordering::Acquire), milliseconds }
    };
    let before = now();
    let leads_elsewhere = |stat: &FileStat| follow && stat.mode & libc::S_IFMT == libc::S_IFLNK;
    if let Some(stat) = KNOWN.find(path.as_bytes(), before).filter(|stat| !leads_elsewhere(stat)) {
        return Some(Ok(stat));
    }
    let question = ToProxy::Look { path: path.clone(), follow, n_more: KNOWN.begin_asking() };
    let looked = match link::ask(&question).map_err(answer::lost_file) {
        Ok(reply) => match reply.answer {
            FromProxy::Looked(looked) => looked,
            FromProxy::Failed(fault) => return Some(Err(answer::from_fault(&fault))),
            _ => return Some(Err(Errno(libc::EIO))),
        },
        Err(errno) => return Some(Err(errno)),
    };
    let until = |looked: &Looked| Moment {
        n_changes: looked.n_changes,
        milliseconds: before.milliseconds + u64::from(looked.milliseconds),
    };
    looked.each(path, |folder, name, stat| KNOWN.record(folder, name, stat, until(&looked), before));
    Some(Ok(looked.stat))
}
