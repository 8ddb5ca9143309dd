//! Programs that are only there: run from the target's file; a script by its interpreter, which opens it by its path.
//!
//! Nothing here uses a heap: a child of `vfork(2)` runs in its parent's memory.

use std::{
    ffi::c_char,
    io::Write as _,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use mirrord_core::verdict::Errno;
use rustix::fs::{Access, FileType};

use crate::{
    abi::{environment::each, text},
    answer,
    engine::table,
    hooks::fs::way::leads_there,
    process::Process,
};

type List = *const *const c_char;

const N_WORDS: usize = 1024;

/// As much of a script's first line as the kernel reads (`execve(2)`).
const N_HEAD: usize = 256;

/// What is to be run.
pub(super) enum Found {
    /// What the guest has said.
    AsSaid,
    /// This file, with these words.
    Instead(*const c_char, List),
    /// Nothing: the guest sees this error.
    Refused(Errno),
}

/// A program of there, in the caller's own frame.
pub(super) struct Elsewhere {
    file: Option<OwnedFd>,
    name: [u8; 32],
    head: [u8; N_HEAD + 1],
    words: [*const c_char; N_WORDS],
}

impl Elsewhere {
    /// An empty frame.
    pub(super) const fn new() -> Self {
        Self { file: None, name: [0; 32], head: [0; N_HEAD + 1], words: [std::ptr::null(); N_WORDS] }
    }

    /// Looks for a program there, if there is none here.
    ///
    /// # Safety
    /// The path is the guest's, and `arguments` a list of strings that ends with null.
    pub(super) unsafe fn find(&mut self, process: &Process, path: *const c_char, arguments: List) -> Found {
        // SAFETY: the caller's duty.
        let Some(said) = (unsafe { text::bytes(path) }) else { return Found::AsSaid };
        let is_missing = matches!(
            rustix::fs::access(said, Access::EXISTS),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR)
        );
        // SAFETY: the caller's duty.
        if !is_missing || !unsafe { leads_there(process, path) } {
            return Found::AsSaid;
        }
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the guest's path.
        let number = unsafe { table::fs::open(path, flags, 0) };
        if number < 0 {
            return Found::Refused(answer::errno());
        }
        // SAFETY: the descriptor is fresh, and nobody else's.
        let file = self.file.insert(unsafe { OwnedFd::from_raw_fd(number) });
        let may_run = rustix::fs::fstat(&*file).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0
        });
        if !may_run {
            return Found::Refused(Errno::EACCES);
        }
        let n_read = rustix::io::pread(&*file, &mut self.head[..N_HEAD], 0).unwrap_or(0);
        if self.head[..n_read].starts_with(b"#!") {
            // SAFETY: the caller's duty.
            return unsafe { self.by_interpreter(n_read, path, arguments) };
        }
        let number = file.as_raw_fd();
        // It is long enough.
        let _ = write!(&mut self.name[..], "/proc/self/fd/{number}");
        Found::Instead(self.name.as_ptr().cast(), arguments)
    }

    /// The interpreter of a script, whose first line is `#!`, its path, and perhaps one word for it.
    unsafe fn by_interpreter(&mut self, n_read: usize, path: *const c_char, arguments: List) -> Found {
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
        // SAFETY: the caller promises a list; its first word is the script's.
        let others = unsafe { each(arguments) }.skip(1);
        let mut n_words = 0;
        for said in [Some(interpreter), word, Some(path)].into_iter().flatten().chain(others) {
            // Room is left for the null behind it.
            if n_words + 1 >= N_WORDS {
                return Found::Refused(Errno(libc::E2BIG));
            }
            self.words[n_words] = said;
            n_words += 1;
        }
        self.words[n_words] = std::ptr::null();
        Found::Instead(interpreter, self.words.as_ptr())
    }
}
