//! Calls about the guest itself: the name of its host, the programs that it starts, the rings that it may not make.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use mirrord_core::verdict::Errno;

use super::{caller::Caller, calls, memory::Plain, notify::Answer};

/// What becomes of a call that concerns the process itself; nothing if it is another one.
pub(super) fn decide(caller: &Caller<'_>) -> Option<Answer> {
    match caller.call.number {
        libc::SYS_uname if !caller.program.is_skipped => Some(name(caller)),
        libc::SYS_uname => Some(Answer::Continue),
        libc::SYS_io_uring_setup => Some(ring(caller)),
        libc::SYS_execve | libc::SYS_execveat => Some(begin(caller)),
        _ => None,
    }
}

/// The host's own name is the target's.
fn name(caller: &Caller<'_>) -> Answer {
    let hostname = caller.supervisor.facts.hostname.as_bytes();
    if hostname.is_empty() {
        return Answer::Continue;
    }
    let mut told = libc::utsname::zeroed();
    // SAFETY: the place is ours.
    if unsafe { libc::uname(&raw mut told) } != 0 {
        return Answer::Continue;
    }
    let node = std::mem::offset_of!(libc::utsname, nodename);
    let place = &mut told.as_bytes_mut()[node..node + 65];
    place.fill(0);
    let length = hostname.len().min(64);
    place[..length].copy_from_slice(&hostname[..length]);
    match caller.memory().write(caller.argument(0), told.as_bytes()) {
        Ok(()) => Answer::Done(0),
        Err(errno) => Answer::Failed(errno),
    }
}

/// What is done by a ring nobody is asked for; so there is none, as on a kernel without them.
fn ring(caller: &Caller<'_>) -> Answer {
    let name = String::from_utf8_lossy(&caller.program.executable).into_owned();
    caller.warn(format!(
        "`{name}` is refused a ring of `io_uring`, whose calls cannot be caught; `supervisor.io_uring` allows it"
    ));
    Answer::Failed(Errno(libc::ENOSYS))
}

/// A call of a 32-bit program: its numbers and its structures are others than ours, so it is told of, and left.
pub(super) fn narrow(caller: &Caller<'_>) -> Answer {
    if u32::try_from(caller.call.number).is_ok_and(|number| calls::EXEC_NARROW.contains(&number)) {
        caller.guest.record_beginning(caller.call.thread);
        return Answer::Continue;
    }
    let name = String::from_utf8_lossy(&caller.program.executable).into_owned();
    caller.warn(of_32_bits(&name));
    Answer::Continue
}

fn of_32_bits(name: &str) -> String {
    format!("`{name}` makes calls of 32 bits; mirrord cannot see its file and network calls")
}

/// Soon it may be another program, of which the developer may have to know something before it begins.
fn begin(caller: &Caller<'_>) -> Answer {
    caller.turn.hand_over();
    if let Some((file, said)) = beginning(caller) {
        if caller.supervisor.is_confined {
            tell_of_privileges(caller, &file, &said);
        }
        if is_narrow(&file) {
            caller.warn(of_32_bits(&said));
        }
    }
    caller.guest.record_beginning(caller.call.thread);
    Answer::Continue
}

/// The file of an `execve(2)`, as we see it and as the guest says it; nothing if it is said by a descriptor.
fn beginning(caller: &Caller<'_>) -> Option<(PathBuf, String)> {
    let place = usize::from(caller.call.number != libc::SYS_execve);
    let path = caller.memory().path(caller.argument(place)).ok().filter(|path| !path.is_empty())?;
    let file = PathBuf::from(caller.link("cwd")).join(OsStr::from_bytes(&path));
    Some((file, String::from_utf8_lossy(&path).into_owned()))
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
