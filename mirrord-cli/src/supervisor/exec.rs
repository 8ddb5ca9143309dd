//! `execve(2)`: what a guest becomes, of which the developer may have to know something, and which may be only there.
//!
//! A program that is only there is run from the target's file: the guest is lent a descriptor of it, and is made to run
//! that in the place of the path that its kernel does not know. A script is run by its interpreter, which opens it by its
//! path; so the guest becomes a [`trampoline`] first, which has the interpreter's words.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, MetadataExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
};

use mirrord_core::verdict::Errno;
use rustix::fs::{Access, FileType};

use super::{
    caller::{Caller, Outcome},
    fs,
    notify::Answer,
    own::of_32_bits,
    step::{self, Run},
    trampoline,
};

/// As much of a script's first line as the kernel reads.
const N_HEAD: usize = 256;

/// What is to be run.
struct Beginning {
    /// As the guest says it.
    said: Vec<u8>,
    /// As we see it.
    file: PathBuf,
    /// Behind the path in the guest's memory: an empty string.
    end: u64,
    /// Where its words are, and its environment.
    lists: [u64; 2],
}

/// Soon it may be another program.
pub(super) fn begin(caller: &Caller<'_>) -> Answer {
    caller.turn.hand_over();
    let mut answer = Answer::Continue;
    if let Some(beginning) = beginning(caller) {
        let said = String::from_utf8_lossy(&beginning.said);
        if caller.supervisor.is_confined {
            tell_of_privileges(caller, &beginning.file, &said);
        }
        if is_narrow(&beginning.file) {
            caller.warn(of_32_bits(&said));
        }
        answer = run_there(caller, &beginning).unwrap_or_else(Answer::Failed);
    }
    caller.guest.record_beginning(caller.call.thread);
    answer
}

/// What an `execve(2)` is to run; nothing if it is said by a descriptor, which the kernel knows.
fn beginning(caller: &Caller<'_>) -> Option<Beginning> {
    let is_at = caller.call.number != libc::SYS_execve;
    let place = usize::from(is_at);
    let path = caller.argument(place);
    let said = caller.memory().path(path).ok().filter(|said| !said.is_empty())?;
    let is_by_folder = is_at && caller.int(0) != libc::AT_FDCWD && !said.starts_with(b"/");
    if is_by_folder || (is_at && caller.int(4) != 0) {
        return None;
    }
    Some(Beginning {
        file: PathBuf::from(caller.link("cwd")).join(OsStr::from_bytes(&said)),
        end: path.checked_add(u64::try_from(said.len()).ok()?)?,
        said,
        lists: [caller.argument(place + 1), caller.argument(place + 2)],
    })
}

/// Runs a program that is only there; what is here the kernel runs, and says what it says.
fn run_there(caller: &Caller<'_>, beginning: &Beginning) -> Outcome<Answer> {
    if caller.program.is_skipped || !is_missing(&beginning.file) {
        return Ok(Answer::Continue);
    }
    let Some(file) = open(caller, &beginning.said)? else { return Ok(Answer::Continue) };
    let mut head = [0; N_HEAD];
    let n_read = file.read_at(&mut head, 0).unwrap_or(0);
    let file = match head[..n_read].strip_prefix(b"#!") {
        Some(line) => match by_interpreter(caller, beginning, line)? {
            Some(file) => file,
            None => return Ok(Answer::Continue),
        },
        None => OwnedFd::from(file),
    };
    let [words, environment] = beginning.lists;
    step::run(caller, &Run { file: &file, empty: beginning.end, words, environment })
}

/// Whether there is nothing here by this path.
fn is_missing(file: &Path) -> bool {
    let found = rustix::fs::access(file, Access::EXISTS);
    matches!(found, Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR))
}

/// Opens a program there. What is not there either the kernel says in its own order.
fn open(caller: &Caller<'_>, said: &[u8]) -> Outcome<Option<File>> {
    let file = match fs::open_program(caller, said) {
        Ok(Some(file)) => file,
        Ok(None) | Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let may_run = rustix::fs::fstat(&file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0
    });
    if may_run { Ok(Some(File::from(file))) } else { Err(Errno::EACCES) }
}

/// A program that becomes a script's interpreter, which the rest of its first line names.
fn by_interpreter(caller: &Caller<'_>, beginning: &Beginning, line: &[u8]) -> Outcome<Option<OwnedFd>> {
    let line = line.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(begin, |last| last + 1);
    let line = &line[begin..end];
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (interpreter, word) = line.split_at(end);
    let word = &word[word.iter().position(|byte| !is_blank(byte)).unwrap_or(0)..];
    if interpreter.is_empty() {
        return Err(Errno(libc::ENOEXEC));
    }
    // Who has become another program cannot be told that there is no interpreter.
    let here = PathBuf::from(caller.link("cwd")).join(OsStr::from_bytes(interpreter));
    if is_missing(&here) && open(caller, interpreter)?.is_none() {
        return Err(Errno::ENOENT);
    }
    // A list without words leaves no place for the script's name.
    if beginning.lists[0] == 0 || caller.memory().value::<u64>(beginning.lists[0])? == 0 {
        return Ok(None);
    }
    let word = (!word.is_empty()).then_some(word);
    trampoline::make(interpreter, word, &beginning.said).map(Some)
}

/// A program that runs as somebody else does not, where the kernel was told to give no privileges.
fn tell_of_privileges(caller: &Caller<'_>, file: &Path, said: &str) {
    let Ok(metadata) = std::fs::metadata(file) else { return };
    let (mode, us) = (metadata.mode(), nix::unistd::geteuid().as_raw());
    let changes_user = mode & libc::S_ISUID != 0 && metadata.uid() != us;
    let changes_group = mode & libc::S_ISGID != 0
        && mode & libc::S_IXGRP != 0
        && metadata.gid() != nix::unistd::getegid().as_raw();
    if changes_user || changes_group {
        caller.warn(format!(
            "`{said}` runs as you and not as its owner: a supervised program gains no privileges"
        ));
    }
}

/// Whether a program is of 32 bits (`elf(5)`).
fn is_narrow(file: &Path) -> bool {
    let mut head = [0; 5];
    let read = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file);
    read.and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *b"\x7fELF\x01"
}
