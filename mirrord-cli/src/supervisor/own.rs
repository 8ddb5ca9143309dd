//! Calls about the guest itself: the name of its host, the programs that it starts, the rings that it may not make.

use mirrord_core::verdict::Errno;

use super::{caller::Caller, memory::Plain, notify::Answer};

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
    caller.supervisor.warn(format!(
        "`{name}` is refused a ring of `io_uring`, whose calls cannot be caught; `supervisor.io_uring` allows it"
    ));
    Answer::Failed(Errno(libc::ENOSYS))
}

/// Soon it may be another program.
fn begin(caller: &Caller<'_>) -> Answer {
    if caller.supervisor.is_confined {
        tell_of_privileges(caller);
    }
    caller.guest.record_beginning();
    Answer::Continue
}

/// A program that runs as somebody else does not, where the kernel was told to give no privileges.
fn tell_of_privileges(caller: &Caller<'_>) {
    use std::os::unix::{ffi::OsStrExt, fs::MetadataExt};
    let place = usize::from(caller.call.number != libc::SYS_execve);
    let Ok(path) = caller.memory().path(caller.argument(place)) else { return };
    let said = std::path::Path::new(std::ffi::OsStr::from_bytes(&path));
    let file = std::path::PathBuf::from(caller.link("cwd")).join(said);
    let Ok(metadata) = std::fs::metadata(file) else { return };
    let changes = metadata.mode() & libc::S_ISUID != 0 && metadata.uid() != nix::unistd::geteuid().as_raw();
    if changes {
        caller.supervisor.warn(format!(
            "`{}` runs as you and not as its owner: a supervised program gains no privileges",
            said.display()
        ));
    }
}
