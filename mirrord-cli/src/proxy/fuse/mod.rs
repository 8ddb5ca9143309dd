//! A file system that stands nowhere: the target's files behind descriptors, where they cannot be passed.
//!
//! A mount ([`mount`]) is asked by the kernel ([`system`]); numbers, handles and paths are kept by the [`tree`].

mod attributes;
mod belief;
mod change;
mod mount;
mod open_file;
mod opener;
mod system;
mod tree;

pub(crate) use attributes::Attributes;
pub(crate) use belief::Renaming;
pub(crate) use mount::Mount;

use std::{io, os::fd::OwnedFd, sync::Arc, thread};

use belief::{Belief, identity};
use fuser::{Config, Session, SessionACL};
use mirrord_protocol::{GuestPath, agent::fs::FileStat, id::RemoteFd};
use opener::Openers;
use rustix::{fs::FileType, io::Errno};
use tree::Tree;

use super::{agent::Agent, surveyor::Surveyor};

/// How often a file that is replaced all the time is looked for.
const ATTEMPTS: u32 = 3;

/// The file system of a session. Clones are the same.
#[derive(Clone)]
pub(crate) struct Fuse {
    openers: Arc<Openers>,
    tree: Tree,
    attributes: Attributes,
    belief: Belief,
}

impl Fuse {
    /// Serves a mount from a thread of its own, until its last descriptor is closed.
    pub(crate) fn start(mount: Mount, agent: Agent, attributes: Attributes) -> io::Result<Self> {
        let tree = Tree::new(agent, attributes);
        let mut config = Config::default();
        config.n_threads = Some(1);
        // Who may come is the kernel's affair: it compares users.
        let session = Session::from_fd(tree.clone(), mount.device, SessionACL::All, config)?;
        let openers = Arc::new(Openers::new(mount.root));
        let belief = Belief::new(openers.clone(), tree.clone(), session.notifier());
        thread::Builder::new().name("files".into()).spawn(move || {
            if let Err(error) = session.run() {
                tracing::warn!(%error, "the file system is gone");
            }
        })?;
        Ok(Self { openers, tree, attributes, belief })
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
        let number = self.attributes.numbers.number(stat.device, stat.inode);
        let expected = (number, FileType::from_raw_mode(stat.mode));
        if flags & libc::O_TRUNC != 0 {
            // It was cut by the agent.
            self.belief.forget_bytes(number);
        }
        let mut n_attempts = 0;
        loop {
            n_attempts += 1;
            if let Some(remote) = remote {
                self.tree.prepare(stat, flags, remote);
            }
            let opened = self.openers.open(path, flags);
            let unused = remote.filter(|remote| self.tree.give_up(stat, *remote));
            let is_another = match &opened {
                Ok(file) => identity(file).is_some_and(|found| found != expected),
                Err(error) => Errno::from_io_error(error).is_some_and(Belief::may_be_wrong),
            };
            if is_another && n_attempts < ATTEMPTS {
                self.belief.correct(path);
                continue;
            }
            if let Some(remote) = unused {
                self.tree.close(remote);
            }
            return opened;
        }
    }

    /// Makes the kernel ask anew for the attributes of the file at a path.
    pub(crate) fn forget_attributes(&self, path: &GuestPath) {
        self.belief.forget_attributes(path);
    }

    /// Has the kernel do a call itself, where its names would be wrong otherwise; tells whether it has. Waits as `open`.
    pub(crate) fn perform(&self, call: &Renaming) -> bool {
        match call {
            Renaming::Moved { from, to, flags } => self.belief.rename(from, to, *flags),
            Renaming::Gone(_) | Renaming::Made(_) => false,
        }
    }

    /// Lets the kernel know what a call has done to names. Waits as `open`.
    pub(crate) fn handle_done(&self, call: &Renaming) {
        self.belief.handle_done(call);
    }

    /// Makes the kernel ask anew for everything: the files are another target's. Waits for calls that are under way, and
    /// so for the agent.
    pub(crate) fn forget_all(&self) {
        self.belief.forget_all();
    }

    /// Who knows the attributes of names in folders that were listed lately.
    pub(crate) fn surveyor(&self) -> &Surveyor {
        &self.tree.0.surveyor
    }

    /// How attributes are told.
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}
