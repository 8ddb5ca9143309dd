//! A file system that stands nowhere: the target's files behind descriptors, where they cannot be passed.
//!
//! A mount ([`mount`]) is asked by the kernel ([`system`]); numbers, handles and paths are kept by the [`tree`].

mod attributes;
mod change;
mod mount;
mod open_file;
mod opener;
mod system;
mod tree;

pub(crate) use attributes::Attributes;
pub(crate) use mount::Mount;

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    sync::Arc,
    thread,
};

use fuser::{Config, INodeNo, Notifier, Session, SessionACL};
use mirrord_protocol::{GuestPath, agent::fs::FileStat, id::RemoteFd};
use opener::Openers;
use rustix::fs::{AtFlags, StatxFlags, statx};
use tree::Tree;

use super::agent::Agent;

/// How often a file that is replaced all the time is looked for.
const ATTEMPTS: u32 = 3;

/// The file system of a session. Clones are the same.
#[derive(Clone)]
pub(crate) struct Fuse {
    openers: Arc<Openers>,
    tree: Tree,
    attributes: Attributes,
    notifier: Notifier,
}

impl Fuse {
    /// Serves a mount from a thread of its own, until its last descriptor is closed.
    pub(crate) fn start(mount: Mount, agent: Agent, attributes: Attributes) -> io::Result<Self> {
        let tree = Tree::new(agent, attributes);
        let mut config = Config::default();
        config.n_threads = Some(1);
        // Who may come is the kernel's affair: it compares users.
        let session = Session::from_fd(tree.clone(), mount.device, SessionACL::All, config)?;
        let notifier = session.notifier();
        thread::Builder::new().name("files".into()).spawn(move || {
            if let Err(error) = session.run() {
                tracing::warn!(%error, "the file system is gone");
            }
        })?;
        Ok(Self { openers: Arc::new(Openers::new(mount.root)), tree, attributes, notifier })
    }

    /// Opens a file that the agent holds open at a path without links. Waits for the serving thread, and so for the
    /// agent: not for a thread on which the agent's answers arrive.
    pub(crate) fn open(
        &self,
        path: &GuestPath,
        stat: &FileStat,
        flags: i32,
        remote: Option<RemoteFd>,
    ) -> io::Result<OwnedFd> {
        let expected = self.attributes.numbers.number(stat.device, stat.inode);
        let mut n_attempts = 0;
        loop {
            n_attempts += 1;
            if let Some(remote) = remote {
                self.tree.prepare(stat, flags, remote);
            }
            let opened = self.openers.open(path, flags);
            let unused = remote.filter(|remote| self.tree.give_up(stat, *remote));
            let is_another =
                opened.as_ref().ok().and_then(number_of).is_some_and(|number| number != expected);
            if is_another && n_attempts < ATTEMPTS {
                // The kernel believes an old name.
                self.forget_name(path);
                continue;
            }
            if let Some(remote) = unused {
                self.tree.close(remote);
            }
            return opened;
        }
    }

    /// Makes the kernel ask anew what is behind a name.
    fn forget_name(&self, path: &GuestPath) {
        let Some(slash) = path.as_bytes().iter().rposition(|byte| *byte == b'/') else { return };
        let (parent, name) = (&path.as_bytes()[..slash], &path.as_bytes()[slash + 1..]);
        let parent = if parent.is_empty() { GuestPath::from("/") } else { GuestPath::from(parent) };
        if let Some(number) = self.tree.number_at(&parent) {
            // A name that is not known needs not be forgotten.
            drop(self.notifier.inval_entry(INodeNo(number), OsStr::from_bytes(name)));
        }
    }

    /// Makes the kernel ask anew for the attributes of the file at a path.
    pub(crate) fn forget_attributes(&self, path: &GuestPath) {
        if let Some(number) = self.tree.number_at(path) {
            drop(self.notifier.inval_inode(INodeNo(number), -1, 0));
        }
    }

    /// How attributes are told.
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}

/// The number under which the kernel knows an open file; it is not asked to look again.
fn number_of(file: &OwnedFd) -> Option<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    statx(file, c"", flags, StatxFlags::INO).ok().map(|stat| stat.stx_ino)
}
