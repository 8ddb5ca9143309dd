//! Sockets of guests, kept since they were made, where they may not be taken from a guest when they are needed.
//!
//! The profile of a container may forbid `pidfd_getfd(2)`. Then we make the guest's sockets ourselves, and keep a
//! duplicate of each, known by its inode, which `/proc` tells of every number. A duplicate must not outlive the guest's
//! own: a connection would never end. So one that is connected is let go at once, and of the others those that nobody
//! has any more, which is looked for from time to time.

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use libc::c_int;
use mirrord_core::verdict::Errno;
use mirrord_guest::{socket::Socket, watch};
use mirrord_protocol::id::SocketInode;

use crate::supervisor::caller::{Caller, Outcome};

/// How long a socket may be kept for whom nobody has any more.
const LOOK_TIME: Duration = Duration::from_millis(500);

/// A socket that was made for a guest.
#[derive(Debug)]
struct Made {
    domain: c_int,
    duplicate: Option<OwnedFd>,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Kept(Mutex<HashMap<SocketInode, Made>>);

impl Kept {
    fn all(&self) -> MutexGuard<'_, HashMap<SocketInode, Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a duplicate of a socket that a guest is about to get.
    pub(super) fn keep(&self, socket: &OwnedFd) -> Outcome<()> {
        let own = Socket(socket.as_raw_fd());
        let duplicate = socket.try_clone().map_err(|_| Errno(libc::ENFILE))?;
        self.all().insert(own.inode()?, Made { domain: own.domain()?, duplicate: Some(duplicate) });
        Ok(())
    }

    /// Notes a socket that a guest is about to get, and that we need no more than the name of.
    pub(super) fn note(&self, socket: &OwnedFd) {
        let own = Socket(socket.as_raw_fd());
        if let (Ok(inode), Ok(domain)) = (own.inode(), own.domain()) {
            self.all().insert(inode, Made { domain, duplicate: None });
        }
    }

    /// Our duplicate of the socket behind a guest's number.
    pub(in crate::supervisor) fn duplicate(&self, caller: &Caller<'_>, number: RawFd) -> Option<OwnedFd> {
        let inode = inode_of(caller, number)?;
        self.all().get(&inode)?.duplicate.as_ref()?.try_clone().ok()
    }

    /// The inode behind a guest's number, and the domain of its socket, if we have made it.
    pub(super) fn domain(&self, caller: &Caller<'_>, number: RawFd) -> Option<(SocketInode, c_int)> {
        let inode = inode_of(caller, number)?;
        self.all().get(&inode).map(|made| (inode, made.domain))
    }

    /// Lets go of a socket that must end when the guest ends it.
    pub(super) fn let_go(&self, socket: Socket) {
        if let Ok(inode) = socket.inode()
            && let Some(made) = self.all().get_mut(&inode)
        {
            made.duplicate = None;
        }
    }

    /// Lets go of those that nobody else has any more, for ever.
    pub(in crate::supervisor) fn watch(&self) {
        loop {
            thread::sleep(LOOK_TIME);
            let made: Vec<SocketInode> = self.all().keys().copied().collect();
            if made.is_empty() {
                continue;
            }
            let alive = inodes_of_others();
            let mut all = self.all();
            for inode in made.iter().filter(|inode| !alive.contains(inode)) {
                all.remove(inode);
            }
        }
    }
}

/// What is behind a number, if it is a socket.
fn inode_of(caller: &Caller<'_>, number: RawFd) -> Option<SocketInode> {
    let link = std::fs::read_link(caller.link(&format!("fd/{number}"))).ok()?;
    watch::socket_inode(link.as_os_str().as_encoded_bytes()).map(SocketInode)
}

/// The sockets of all processes that we may look at, but of this one.
fn inodes_of_others() -> HashSet<SocketInode> {
    let us = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let others = processes.filter(|it| {
        let name = it.file_name();
        name.to_str().is_some_and(|name| name.starts_with(|first: char| first.is_ascii_digit()) && name != us)
    });
    let numbers = others.filter_map(|it| std::fs::read_dir(it.path().join("fd")).ok()).flatten().flatten();
    let links = numbers.filter_map(|it| std::fs::read_link(it.path()).ok());
    links
        .filter_map(|link| watch::socket_inode(link.as_os_str().as_encoded_bytes()).map(SocketInode))
        .collect()
}
