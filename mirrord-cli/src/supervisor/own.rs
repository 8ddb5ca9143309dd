//! Calls about the guest itself: the name of its host, the rings that it may not make.

use mirrord_core::verdict::Errno;

use super::{caller::Caller, calls, exec, memory::Plain, notify::Answer};

/// What becomes of a call that concerns the process itself; nothing if it is another one.
pub(super) fn decide(caller: &Caller<'_>) -> Option<Answer> {
    match caller.call.number {
        libc::SYS_uname if !caller.program.is_skipped => Some(name(caller)),
        libc::SYS_uname => Some(Answer::Continue),
        libc::SYS_io_uring_setup => Some(ring(caller)),
        libc::SYS_execve | libc::SYS_execveat => Some(exec::begin(caller)),
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

/// What is told of a program whose calls have other numbers.
pub(super) fn of_32_bits(name: &str) -> String {
    format!("`{name}` makes calls of 32 bits; mirrord cannot see its file and network calls")
}
