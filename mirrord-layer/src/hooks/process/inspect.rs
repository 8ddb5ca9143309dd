//! Whether a program that a guest starts can be a guest: the developer is told if not, and the layer stays out of one
//! whose loader would fail on it.

use std::{
    ffi::{CStr, c_char},
    os::fd::OwnedFd,
};

use mirrord_protocol::proxy::{ToProxy, lineage::Note};
use rustix::fs::{Access, AtFlags, Mode, OFlags};

use crate::{abi::text, engine, link, process::Process};

/// Longer paths are refused by the kernel (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// Why a program cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It has no dynamic loader.
    Static,
    /// The loader ignores our library in it.
    SetUserId,
    /// Go's own system calls pass by libc, though it has one.
    Go,
    /// It is of 32 bits.
    Narrow,
    /// Its loader is another C library's, which ends a program whose preloaded library it cannot load.
    OtherLibc,
}

impl Obstacle {
    /// Whether it is none to a supervisor.
    pub(super) fn can_be_supervised(self) -> bool {
        !matches!(self, Self::SetUserId | Self::Narrow)
    }
}

/// A program that was looked for in the folders of `PATH`, in the caller's own frame.
pub(super) struct Found([u8; MAX_PATH]);

impl Found {
    /// An empty frame.
    pub(super) const fn new() -> Self {
        Self([0; MAX_PATH])
    }

    /// The path of a program that is named as `execvp(3)` takes it; its name, if there is no such file.
    ///
    /// # Safety
    /// The name is the guest's.
    pub(super) unsafe fn look_for(&mut self, name: *const c_char) -> *const c_char {
        let accept = |path: &CStr| rustix::fs::access(path, Access::EXEC_OK).is_ok().then_some(path.as_ptr());
        // SAFETY: the caller's duty.
        unsafe { self.try_each(name, accept) }.unwrap_or(name)
    }

    /// Tries a name in every folder of `PATH`, until one will do. A path is not looked for.
    ///
    /// # Safety
    /// The name is the guest's.
    pub(super) unsafe fn try_each<T>(
        &mut self,
        name: *const c_char,
        mut accept: impl FnMut(&CStr) -> Option<T>,
    ) -> Option<T> {
        // SAFETY: the caller's duty.
        let text = unsafe { text::bytes(name) }.filter(|text| !text.is_empty() && !text.contains(&b'/'))?;
        // SAFETY: the name is a C string.
        let folders = unsafe { libc::getenv(c"PATH".as_ptr()) };
        // SAFETY: null, or a C string that stays as long as nobody changes the environment.
        let folders = unsafe { text::bytes(folders) }?;
        let mut folders = folders.split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
        folders.find_map(|folder| accept(self.join(folder, text)?))
    }

    fn join(&mut self, folder: &[u8], name: &[u8]) -> Option<&CStr> {
        let mut rest = self.0.as_mut_slice();
        for piece in [folder, b"/", name, b"\0"] {
            let (place, after) = rest.split_at_mut_checked(piece.len())?;
            place.copy_from_slice(piece);
            rest = after;
        }
        CStr::from_bytes_until_nul(&self.0).ok()
    }
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
    let is_handed = process.host.is_some() && obstacle.can_be_supervised();
    if process.facts.has_target && !is_handed {
        tell(path, obstacle);
    }
    Some(obstacle)
}

fn tell(path: &[u8], obstacle: Obstacle) {
    engine::work(|| {
        let path = String::from_utf8_lossy(path);
        let why = match obstacle {
            Obstacle::Static => "is statically linked",
            Obstacle::Go => "is written in Go, which calls the kernel without libc",
            Obstacle::SetUserId => "changes its user or group when it starts",
            Obstacle::OtherLibc => "uses another C library than glibc",
            Obstacle::Narrow => "is a program of 32 bits",
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
    if head.starts_with(b"\x7fELF\x01") {
        return Some(Obstacle::Narrow);
    }
    match interpreter(&head[..n_read])? {
        Interpreter::None => Some(Obstacle::Static),
        Interpreter::At(_) if is_go(&file, &head[..n_read]) => Some(Obstacle::Go),
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

/// Whether Go's linker has left its note in a program: its name is `Go`.
fn is_go(file: &OwnedFd, head: &[u8]) -> bool {
    const PT_NOTE: u32 = 4;
    segments(head).filter(|segment| segment.kind == PT_NOTE).any(|segment| {
        let mut notes = [0; 512];
        let length = usize::try_from(segment.length).unwrap_or(0).min(notes.len());
        let n_read = rustix::io::pread(file, &mut notes[..length], segment.start).unwrap_or(0);
        has_note(&notes[..n_read], b"Go\0\0")
    })
}

/// `elf(5)`: notes are a name and a description, of which a head tells the lengths, each rounded up to four bytes.
fn has_note(mut notes: &[u8], wanted: &[u8]) -> bool {
    let number = |bytes: &[u8], at: usize| -> Option<usize> {
        usize::try_from(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
    };
    while let (Some(name), Some(description)) = (number(notes, 0), number(notes, 4)) {
        if notes.get(12..12 + name.min(16)) == Some(wanted) {
            return true;
        }
        let next = name.saturating_add(3) / 4 * 4 + description.saturating_add(3) / 4 * 4;
        match notes.get(next.saturating_add(12)..) {
            Some(rest) => notes = rest,
            None => return false,
        }
    }
    false
}

/// A part of a program that is loaded, or read.
struct Segment {
    kind: u32,
    start: u64,
    length: u64,
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
    const PT_INTERP: u32 = 3;
    let mut all = segments(head).peekable();
    all.peek()?;
    let found = all.find(|segment| segment.kind == PT_INTERP);
    Some(found.map_or(Interpreter::None, |segment| Interpreter::At(segment.start)))
}

fn segments(head: &[u8]) -> impl Iterator<Item = Segment> {
    const SEGMENT: usize = 56;
    let long =
        |at: usize| -> Option<u64> { Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?)) };
    let is_elf = head.starts_with(b"\x7fELF\x02");
    let start = long(32).and_then(|start| usize::try_from(start).ok()).filter(|_| is_elf);
    let count = head.get(56..58).and_then(|bytes| Some(u16::from_ne_bytes(bytes.try_into().ok()?)));
    (0..usize::from(count.unwrap_or(0))).map_while(move |index| {
        let at = start?.checked_add(index * SEGMENT)?;
        let kind = u32::from_ne_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?);
        Some(Segment { kind, start: long(at + 8)?, length: long(at + 32)? })
    })
}
