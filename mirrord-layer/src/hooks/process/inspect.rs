//! Whether a program that a guest starts can be a guest: the developer is told if not.

use std::{ffi::c_char, os::fd::OwnedFd};

use mirrord_protocol::proxy::{ToProxy, lineage::Note};
use rustix::fs::{Access, AtFlags, Mode, OFlags};

use crate::{abi::text, engine, link, process::Process};

/// Why a program cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// It has no dynamic loader.
    Static,
    /// The loader ignores our library in it.
    SetUserId,
}

/// Tells the developer about a program that will not be a guest. A name without a folder is not looked for.
///
/// # Safety
/// The path is the guest's.
pub(super) unsafe fn note(process: &Process, path: *const c_char) {
    // SAFETY: the caller's duty.
    let Some(path) = (unsafe { text::bytes(path) }) else { return };
    if !process.facts.has_target || !path.contains(&b'/') {
        return;
    }
    let Some(obstacle) = look(path) else { return };
    engine::work(|| {
        let path = String::from_utf8_lossy(path);
        let why = match obstacle {
            Obstacle::Static => "is statically linked",
            Obstacle::SetUserId => "changes its user or group when it starts",
        };
        let text = format!("`{path}` {why}; mirrord cannot see its file and network calls");
        drop(link::ask(&ToProxy::Note(Note::Warning(text))));
    });
}

fn look(path: &[u8]) -> Option<Obstacle> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    if is_set_user_id(&file) {
        return Some(Obstacle::SetUserId);
    }
    let mut head = [0; 1024];
    let n_read = rustix::io::read(&file, &mut head).ok()?;
    is_static(&head[..n_read]).then_some(Obstacle::Static)
}

/// Root changes nothing by running what belongs to root.
fn is_set_user_id(file: &OwnedFd) -> bool {
    const SET_IDS: u32 = 0o6000;
    let Ok(stat) = rustix::fs::fstat(file) else { return false };
    let is_other = stat.st_uid != rustix::process::geteuid().as_raw()
        || (stat.st_mode & 0o2000 != 0 && stat.st_gid != rustix::process::getegid().as_raw());
    stat.st_mode & SET_IDS != 0
        && is_other
        && rustix::fs::accessat(file, c"", Access::EXEC_OK, AtFlags::EMPTY_PATH).is_ok()
}

/// `elf(5)`: a 64-bit program whose headers lie at its start and name no interpreter.
fn is_static(head: &[u8]) -> bool {
    const SEGMENT: usize = 56;
    const PT_INTERP: u32 = 3;
    let number =
        |at: usize| -> Option<u16> { Some(u16::from_ne_bytes(head.get(at..at + 2)?.try_into().ok()?)) };
    let has_interpreter = |index: usize, start: usize| -> Option<bool> {
        let at = start + index * SEGMENT;
        Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?) == PT_INTERP)
    };
    let judge = || -> Option<bool> {
        head.strip_prefix(b"\x7fELF\x02")?;
        let start = usize::try_from(u64::from_ne_bytes(head.get(32..40)?.try_into().ok()?)).ok()?;
        let n_segments = usize::from(number(56)?);
        for index in 0..n_segments {
            if has_interpreter(index, start)? {
                return Some(false);
            }
        }
        Some(n_segments > 0)
    };
    judge().unwrap_or(false)
}
