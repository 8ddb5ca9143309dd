//! A process that outlives the agent by one deed: where no table can be owned, it removes ours when the agent is gone.
//!
//! The guard is a fork that holds three descriptors and runs no code but a few system calls: it waits for the end of
//! a pipe, which the kernel brings when the agent ends by any means, and then sends the batch that was encoded for it
//! before. Both hold the agent's *name*, an abstract unix socket of the target's network namespace, so that whoever
//! finds a table whose name nobody holds may remove it.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

use nix::{
    sys::wait::waitpid,
    unistd::{ForkResult, Pid, fork, pipe2},
};

/// The living guard of one table. Dropping it removes the table.
#[derive(Debug)]
pub(super) struct Guard {
    pid: Pid,
    life: Option<OwnedFd>,
    _name: UnixDatagram,
}

impl Guard {
    /// Watches over this process from now on. `removal` is the batch that removes the table.
    pub(super) fn start(table: &str, removal: &[u8]) -> io::Result<Self> {
        let name = claim(table)?;
        let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_NETFILTER)?;
        let (death, life) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        // SAFETY: the child calls nothing but functions that are safe after a fork of a process with threads.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, life: Some(life), _name: name }),
            ForkResult::Child => watch(death.as_raw_fd(), socket.as_raw_fd(), name.as_raw_fd(), removal),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.life = None;
        let _ = waitpid(self.pid, None);
    }
}

/// Takes the name that shows that a table's agent, or its guard, is alive; fails while somebody has it.
pub(super) fn claim(table: &str) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(table)?)
}

/// The guard's whole life.
fn watch(death: RawFd, socket: RawFd, name: RawFd, removal: &[u8]) -> ! {
    // SAFETY: setsid takes nothing; a signal to the agent's group or terminal is not for its guard.
    unsafe { libc::setsid() };
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: ignoring a signal installs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    close_all_but([death, socket, name]);
    let mut byte = 0_u8;
    loop {
        // SAFETY: the buffer is one byte of ours, and so long is the read.
        let n_read = unsafe { libc::read(death, (&raw mut byte).cast(), 1) };
        if n_read >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            break;
        }
    }
    // SAFETY: the buffer is as long as said; an unconnected netlink socket speaks to the kernel.
    unsafe { libc::send(socket, removal.as_ptr().cast(), removal.len(), 0) };
    // SAFETY: ends this process at once; there is nothing to flush.
    unsafe { libc::_exit(0) }
}

/// Lets go of whatever else the agent had open, so that only the agent's own end keeps it.
fn close_all_but(mut kept: [RawFd; 3]) {
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1);
        }
        first = fd + 1;
    }
    close_range(first, RawFd::MAX);
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: this process uses no descriptor but those that its caller keeps.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    for fd in first..=last.min(first.saturating_add(65_536)) {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}
