//! Programs that are only there: run from the target's file; a script by its interpreter, which opens it by its path.
//!
//! Nothing here uses a heap: a child of `vfork(2)` runs in its parent's memory.

use std::{
    ffi::{CStr, c_char},
    io::Write as _,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use mirrord_core::verdict::Errno;
use rustix::fs::{Access, FileType};

use super::inspect;
use crate::{
    abi::{environment::each, text},
    answer,
    engine::table,
    hooks::fs::way::leads_there,
    process::Process,
};

type List = *const *const c_char;

const N_WORDS: usize = 1024;

/// Who runs what the kernel does not know how to.
const SHELL: &CStr = c"/bin/sh";

/// As much of a script's first line as the kernel reads (`execve(2)`).
const N_HEAD: usize = 256;

/// What is to be run.
pub(super) enum Found {
    /// What the guest has said.
    AsSaid,
    /// Another file, with these words.
    Instead {
        /// As the kernel finds it.
        file: *const c_char,
        /// As a supervisor of the same session finds it.
        said: *const c_char,
        /// Its words.
        words: List,
    },
    /// Nothing: the guest sees this error.
    Refused(Errno),
}

/// A program of there, in the caller's own frame.
pub(super) struct Elsewhere {
    files: [Option<OwnedFd>; 2],
    name: [u8; 32],
    head: [u8; N_HEAD + 1],
    words: [*const c_char; N_WORDS],
    /// Whether a file that the kernel does not know how to run is the shell's, as of `execvp(3)`.
    is_shells: bool,
}

impl Elsewhere {
    /// An empty frame.
    pub(super) const fn new() -> Self {
        let words = [std::ptr::null(); N_WORDS];
        Self { files: [None, None], name: [0; 32], head: [0; N_HEAD + 1], words, is_shells: false }
    }

    /// Looks for a program there, if there is none here.
    ///
    /// # Safety
    /// The path is the guest's, and `arguments` a list of strings that ends with null.
    pub(super) unsafe fn find(&mut self, process: &Process, path: *const c_char, arguments: List) -> Found {
        // SAFETY: the caller's duty.
        let file = match unsafe { open(process, path) } {
            Ok(Some(file)) => file,
            Ok(None) => return Found::AsSaid,
            Err(errno) => return Found::Refused(errno),
        };
        let n_read = rustix::io::pread(&file, &mut self.head[..N_HEAD], 0).unwrap_or(0);
        if self.head[..n_read].starts_with(b"#!") {
            // SAFETY: the caller's duty.
            return unsafe { self.by_interpreter(process, n_read, path, arguments) };
        }
        if self.is_shells && n_read > 0 && !self.head[..n_read].starts_with(b"\x7fELF") {
            // SAFETY: the caller's duty.
            return unsafe { self.by([Some(SHELL.as_ptr()), None, Some(path)], SHELL.as_ptr(), arguments) };
        }
        Found::Instead { file: self.keep(0, file), said: path, words: arguments }
    }

    /// Looks for a program as `execvp(3)` and `posix_spawnp(3)` do. `path` is where it was found here; a name is looked
    /// for there only if no folder of `PATH` has it here.
    ///
    /// # Safety
    /// As of [`Self::find`]; and `name` is the guest's.
    pub(super) unsafe fn search(
        &mut self,
        process: &Process,
        folders: &mut inspect::Found,
        (name, path): (*const c_char, *const c_char),
        arguments: List,
    ) -> Found {
        if path != name {
            return Found::AsSaid;
        }
        // SAFETY: the caller's duty.
        if unsafe { text::bytes(name) }.is_none_or(|name| name.contains(&b'/')) {
            // SAFETY: the caller's duty.
            return unsafe { self.find(process, name, arguments) };
        }
        let mut refused = None;
        let accept = |path: &CStr| {
            // SAFETY: the path is a string, and the list the caller's.
            match unsafe { self.find(process, path.as_ptr(), arguments) } {
                Found::AsSaid => None,
                Found::Refused(errno) => {
                    refused.get_or_insert(errno);
                    None
                }
                found @ Found::Instead { .. } => Some(found),
            }
        };
        // SAFETY: the caller's duty.
        let found = unsafe { folders.try_each(name, accept) };
        found.unwrap_or_else(|| refused.map_or(Found::AsSaid, Found::Refused))
    }

    /// The same for whoever has a shell run what the kernel does not know how to.
    pub(super) fn with_shell() -> Self {
        Self { is_shells: true, ..Self::new() }
    }

    /// Keeps a file open, and tells how the kernel finds it. Its number is one that no other action of a child means.
    fn keep(&mut self, place: usize, file: OwnedFd) -> *const c_char {
        const HIGH: i32 = 512;
        let file = rustix::io::fcntl_dupfd_cloexec(&file, HIGH).unwrap_or(file);
        // It is long enough.
        let _ = write!(&mut self.name[..], "/proc/self/fd/{}\0", file.as_raw_fd());
        self.files[place] = Some(file);
        self.name.as_ptr().cast()
    }

    /// The interpreter of a script, whose first line is `#!`, its path, and perhaps one word for it.
    unsafe fn by_interpreter(
        &mut self,
        process: &Process,
        n_read: usize,
        path: *const c_char,
        arguments: List,
    ) -> Found {
        let line = self.head[2..n_read].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let Some(start) = line.iter().position(|byte| !is_blank(byte)) else {
            return Found::Refused(Errno(libc::ENOEXEC));
        };
        let end = line[start..].iter().position(is_blank).map_or(line.len(), |length| start + length);
        let word = line[end..].iter().position(|byte| !is_blank(byte)).map(|blanks| end + blanks);
        let last = line.iter().rposition(|byte| !is_blank(byte)).map_or(end, |last| last + 1);
        (self.head[2 + end], self.head[2 + last]) = (0, 0);
        let interpreter: *const c_char = self.head[2 + start..].as_ptr().cast();
        let word = word.map(|start| self.head[2 + start..].as_ptr().cast::<c_char>());
        // SAFETY: a string of ours.
        let file = match unsafe { open(process, interpreter) } {
            Ok(Some(file)) => self.keep(1, file),
            Ok(None) => interpreter,
            Err(errno) => return Found::Refused(errno),
        };
        // SAFETY: the caller's duty.
        unsafe { self.by([Some(interpreter), word, Some(path)], file, arguments) }
    }

    /// What runs a script, with the words before the script's own.
    unsafe fn by(
        &mut self,
        before: [Option<*const c_char>; 3],
        file: *const c_char,
        arguments: List,
    ) -> Found {
        // SAFETY: the caller promises a list; its first word is the script's.
        let others = unsafe { each(arguments) }.skip(1);
        let mut n_words = 0;
        for said in before.into_iter().flatten().chain(others) {
            // Room is left for the null behind it.
            if n_words + 1 >= N_WORDS {
                return Found::Refused(Errno(libc::E2BIG));
            }
            self.words[n_words] = said;
            n_words += 1;
        }
        self.words[n_words] = std::ptr::null();
        Found::Instead { file, said: self.words[0], words: self.words.as_ptr() }
    }
}

/// Opens a program there, if there is none here, and the rules say that it is looked for there.
///
/// # Safety
/// The path is a string, or an address that the kernel would refuse.
unsafe fn open(process: &Process, path: *const c_char) -> Result<Option<OwnedFd>, Errno> {
    // SAFETY: the caller's duty.
    let Some(said) = (unsafe { text::bytes(path) }) else { return Ok(None) };
    let is_missing = matches!(
        rustix::fs::access(said, Access::EXISTS),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR)
    );
    // SAFETY: the caller's duty.
    if !is_missing || !unsafe { leads_there(process, path) } {
        return Ok(None);
    }
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the guest's path.
    let number = unsafe { table::fs::open(path, flags, 0) };
    if number < 0 {
        return match answer::errno() {
            // The kernel says so, too.
            Errno::ENOENT => Ok(None),
            errno => Err(errno),
        };
    }
    // SAFETY: the descriptor is fresh, and nobody else's.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    let may_run = rustix::fs::fstat(&file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0
    });
    if may_run { Ok(Some(file)) } else { Err(Errno::EACCES) }
}
