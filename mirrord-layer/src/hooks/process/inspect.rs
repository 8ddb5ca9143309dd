//! Whether a program that a guest starts can be a guest: the developer is told if not, and the layer stays out of one
//! whose loader would fail on it.

use std::{ffi::c_char, os::fd::OwnedFd};

use mirrord_protocol::proxy::{ToProxy, lineage::Note};
use rustix::fs::{Access, AtFlags, Mode, OFlags};

use crate::{abi::text, engine, link, process::Process};

/// Why a program cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It has no dynamic loader.
    Static,
    /// The loader ignores our library in it.
    SetUserId,
    /// Its loader is another C library's, which ends a program whose preloaded library it cannot load.
    OtherLibc,
}

/// What stands in the way of a program, of which the developer is told. A name without a folder is not looked for.
///
/// # Safety
/// The path is the guest's.
pub(super) unsafe fn note(process: &Process, path: *const c_char) -> Option<Obstacle> {
    // SAFETY: the caller's duty.
    let path = unsafe { text::bytes(path) }?;
    if !path.contains(&b'/') {
        return None;
    }
    let obstacle = look(path)?;
    if process.facts.has_target {
        tell(path, obstacle);
    }
    Some(obstacle)
}

fn tell(path: &[u8], obstacle: Obstacle) {
    engine::work(|| {
        let path = String::from_utf8_lossy(path);
        let why = match obstacle {
            Obstacle::Static => "is statically linked",
            Obstacle::SetUserId => "changes its user or group when it starts",
            Obstacle::OtherLibc => "uses another C library than glibc",
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
    match interpreter(&head[..n_read])? {
        Interpreter::None => Some(Obstacle::Static),
        Interpreter::At(offset) => {
            let mut name = [0; 256];
            let n_read = rustix::io::pread(&file, &mut name, offset).ok()?;
            is_musl(&name[..n_read]).then_some(Obstacle::OtherLibc)
        }
    }
}

/// The loader of musl is called `ld-musl-ARCHITECTURE.so.1` wherever it lies.
fn is_musl(interpreter: &[u8]) -> bool {
    let path = interpreter.split(|byte| *byte == 0).next().unwrap_or_default();
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(b"ld-musl-"))
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

/// Who loads a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interpreter {
    /// Nobody but the kernel.
    None,
    /// The file whose path lies there in the program.
    At(u64),
}

/// `elf(5)`: the interpreter of a 64-bit program whose headers lie at its start; nothing for other files.
fn interpreter(head: &[u8]) -> Option<Interpreter> {
    const SEGMENT: usize = 56;
    const PT_INTERP: u32 = 3;
    head.strip_prefix(b"\x7fELF\x02")?;
    let long =
        |at: usize| -> Option<u64> { Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?)) };
    let start = usize::try_from(long(32)?).ok()?;
    let n_segments = usize::from(u16::from_ne_bytes(head.get(56..58)?.try_into().ok()?));
    for index in 0..n_segments {
        let at = start.checked_add(index * SEGMENT)?;
        if u32::from_ne_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?) == PT_INTERP {
            return long(at + 8).map(Interpreter::At);
        }
    }
    (n_segments > 0).then_some(Interpreter::None)
}
