//! Leaves the command: out of its process group, its session and its terminal, and nobody's child but init's.

use std::{
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigHandler, Signal, signal},
        stat::Mode,
    },
    unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid},
};

/// Which of the processes this one is, after the parting.
pub(crate) enum Part {
    /// The one that the command started: its work is done.
    Starter,
    /// The proxy, and the socket to the command.
    Proxy(UnixStream),
}

/// Parts from the command. Must be called before any thread is started.
pub(crate) fn detach() -> io::Result<Part> {
    let command = take_socket()?;
    if fork_once()? {
        return Ok(Part::Starter);
    }
    setsid()?;
    // A second time, so that no terminal can ever become ours.
    if fork_once()? {
        return Ok(Part::Starter);
    }
    settle(command).map(Part::Proxy)
}

/// The same for one whom others need as their ancestor: it stays where it is among processes.
pub(crate) fn stay() -> io::Result<UnixStream> {
    settle(take_socket()?)
}

/// The socket that is our standard input.
fn take_socket() -> io::Result<OwnedFd> {
    let command = fcntl(io::stdin(), FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: fcntl has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(command) })
}

/// Lets go of everything but the socket.
fn settle(command: OwnedFd) -> io::Result<UnixStream> {
    let command = leave_everything_but(command)?;
    chdir("/")?;
    for terminal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTSTP] {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { signal(terminal, SigHandler::SigIgn) }?;
    }
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A smaller limit than could be had is a nuisance, not a failure.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    Ok(UnixStream::from(command))
}

/// Forks; tells whether this is the parent.
fn fork_once() -> io::Result<bool> {
    // SAFETY: there is one thread, so the child is as whole as its parent.
    let result = unsafe { fork() }?;
    Ok(matches!(result, ForkResult::Parent { .. }))
}

/// Closes what the command's own parents left open: a pipe held by us would never end.
fn leave_everything_but(command: OwnedFd) -> io::Result<OwnedFd> {
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    drop(null);
    let kept = command.as_raw_fd().cast_unsigned();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: nothing of this program owns a descriptor beyond the standard ones and the kept one.
            let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
            nix::errno::Errno::result(closed)?;
        }
    }
    Ok(command)
}
