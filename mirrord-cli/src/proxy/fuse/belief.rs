//! What the kernel believes of the names of the mount, and how it is told better.

use std::{
    ffi::OsStr,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    sync::Arc,
};

use fuser::{INodeNo, Notifier};
use mirrord_protocol::{GuestPath, agent::fs::FsCall};
use rustix::{
    fs::{AtFlags, FileType, StatxFlags, statx},
    io::Errno,
};

use super::{opener::Openers, tree::Tree};

/// A file as the kernel knows it: by its number and its type.
pub(super) type Identity = (u64, FileType);

/// What the kernel believes.
#[derive(Clone)]
pub(super) struct Belief {
    openers: Arc<Openers>,
    tree: Tree,
    notifier: Notifier,
}

impl Belief {
    pub(super) fn new(openers: Arc<Openers>, tree: Tree, notifier: Notifier) -> Self {
        Self { openers, tree, notifier }
    }

    /// Whether an open that failed so may have failed because of a name that means another file by now.
    pub(super) fn may_be_wrong(errno: Errno) -> bool {
        matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::STALE | Errno::IO)
    }

    /// Makes the kernel ask anew for every name on the way to a file that means another file by now. Waits for the
    /// agent. Only for those: a directory in which somebody stands must keep its name.
    pub(super) fn correct(&self, path: &GuestPath) {
        let bytes = path.as_bytes();
        let mut parent = self.seen(&GuestPath::from("/"));
        for end in (1..=bytes.len()).filter(|at| matches!(bytes.get(*at), None | Some(b'/'))) {
            let prefix = GuestPath::from(&bytes[..end]);
            let truth = self.tree.identity(prefix.clone());
            let believed = || self.seen(&prefix);
            let mut seen = believed();
            if let (true, Some((number, _))) = (seen != truth, parent) {
                self.forget(number, name_of(&prefix));
                seen = believed();
            }
            parent = seen;
        }
    }

    fn seen(&self, path: &GuestPath) -> Option<Identity> {
        let found = self.openers.open(path, libc::O_PATH | libc::O_NOFOLLOW).ok()?;
        identity(found)
    }

    /// Makes the kernel ask anew what is behind a name. A name that is not known needs not be forgotten.
    fn forget(&self, parent: u64, name: &[u8]) {
        drop(self.notifier.inval_entry(INodeNo(parent), OsStr::from_bytes(name)));
    }

    /// Makes the kernel ask anew what is behind a path, if it knows the directory.
    fn forget_path(&self, path: &GuestPath) {
        if let Some(number) = self.tree.number_at(&parent_of(path)) {
            self.forget(number, name_of(path));
        }
    }

    /// Makes the kernel ask anew for the attributes of the file at a path.
    pub(super) fn forget_attributes(&self, path: &GuestPath) {
        if let Some(number) = self.tree.number_at(path) {
            self.tree.handle_changed(number);
            drop(self.notifier.inval_inode(INodeNo(number), -1, 0));
        }
    }

    /// Makes the kernel ask anew for the attributes and the bytes of a file.
    pub(super) fn forget_bytes(&self, number: u64) {
        self.tree.handle_changed(number);
        drop(self.notifier.inval_inode(INodeNo(number), 0, 0));
    }

    /// Makes the kernel ask anew for everything.
    pub(super) fn forget_all(&self) {
        for (number, names) in self.tree.all() {
            for (parent, name) in names {
                self.forget(parent, &name);
            }
            self.forget_bytes(number);
        }
    }

    /// Has the kernel rename what it knows, so that open directories keep their names; tells whether it has.
    pub(super) fn rename(&self, from: &GuestPath, to: &GuestPath, flags: u32) -> bool {
        self.tree.number_at(from).is_some() && self.openers.rename(from, to, flags).is_ok()
    }

    /// What a call has done to names, once it is done. Waits for the kernel.
    pub(super) fn handle_done(&self, call: &Renaming) {
        match call {
            Renaming::Gone(path) => {
                self.forget_attributes(path);
                self.tree.handle_removed(path);
                self.forget_path(path);
            }
            Renaming::Made(path) => self.forget_path(path),
            Renaming::Moved { from, to, flags } => {
                self.forget_attributes(to);
                self.tree.handle_renamed(from, to, *flags);
                self.forget_path(from);
                self.forget_path(to);
            }
        }
    }
}

/// A call that changes what a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Renaming {
    /// The name is no more.
    Gone(GuestPath),
    /// The name is new.
    Made(GuestPath),
    /// It has become another name.
    Moved { from: GuestPath, to: GuestPath, flags: u32 },
}

impl Renaming {
    /// What a call does to names.
    pub(crate) fn of(call: &FsCall) -> Option<Self> {
        Some(match call {
            FsCall::Unlink(path) | FsCall::RemoveDir(path) => Self::Gone(path.clone()),
            FsCall::MakeDir { path, .. }
            | FsCall::MakeNode { path, .. }
            | FsCall::Symlink { path, .. }
            | FsCall::Link { to: path, .. } => Self::Made(path.clone()),
            FsCall::Rename { from, to, flags } => {
                Self::Moved { from: from.clone(), to: to.clone(), flags: *flags }
            }
            _ => return None,
        })
    }
}

/// The number and the type under which the kernel knows an open file; it is not asked to look again.
pub(super) fn identity(file: impl AsFd) -> Option<Identity> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = statx(file, c"", flags, StatxFlags::INO | StatxFlags::TYPE).ok()?;
    Some((stat.stx_ino, FileType::from_raw_mode(stat.stx_mode.into())))
}

/// The directory of a path.
pub(super) fn parent_of(path: &GuestPath) -> GuestPath {
    match path.as_bytes().iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => GuestPath::from("/"),
        Some(slash) => GuestPath::from(&path.as_bytes()[..slash]),
    }
}

/// The last name of a path.
pub(super) fn name_of(path: &GuestPath) -> &[u8] {
    path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
