//! The target's files by number, handle and path, and how the agent is asked about them.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use fuser::{
    Errno, FileAttr, FileHandle, FopenFlags, Generation, INodeNo, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyXattr,
};
use mirrord_core::proxy::nodes::{Names, Nodes};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        fs::{Entry, FileStat, FsAnswer, FsCall, Want},
    },
    fault::Fault,
    id::RemoteFd,
};

use super::{
    attributes::{Attributes, kind_of_entry},
    belief::Identity,
    open_file::OpenFile,
};
use crate::proxy::{
    agent::{Agent, Outcome},
    surveyor::Surveyor,
};

/// For how long the kernel believes a name and the attributes of a file.
pub(super) const LIFETIME: Duration = Duration::from_secs(1);

pub(super) const GENERATION: Generation = Generation(0);

/// The target's files, as the mount shows them. Clones are the same.
#[derive(Clone)]
pub(crate) struct Tree(pub(super) Arc<Shared>);

/// What they share.
pub(super) struct Shared {
    pub(super) agent: Agent,
    pub(super) surveyor: Surveyor,
    pub(super) attributes: Attributes,
    pub(super) nodes: Mutex<Nodes>,
    pub(super) open: Mutex<HashMap<u64, Arc<OpenFile>>>,
    last_handle: AtomicU64,
    /// Files that the agent has opened, and that the kernel is about to open.
    prepared: Mutex<HashMap<u64, Vec<Prepared>>>,
}

/// A file that the agent has opened already.
pub(super) struct Prepared {
    flags: i32,
    pub(super) remote: RemoteFd,
    pub(super) device: u64,
}

/// What is locked is changed by single calls: it is whole, whoever panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fault as the kernel is told it.
pub(super) fn errno(fault: &Fault) -> Errno {
    Errno::from_i32(fault.errno)
}

/// The flags by which one open file differs from another.
fn kind_of_open(flags: i32) -> i32 {
    flags & (libc::O_ACCMODE | libc::O_APPEND)
}

impl Tree {
    /// The files of an agent's target.
    pub(crate) fn new(agent: Agent, attributes: Attributes) -> Self {
        let surveyor = Surveyor::new(agent.clone(), attributes.numbers);
        Self(Arc::new(Shared {
            agent,
            surveyor,
            attributes,
            nodes: Mutex::default(),
            open: Mutex::default(),
            last_handle: AtomicU64::new(0),
            prepared: Mutex::default(),
        }))
    }

    /// Notes that a file is open already, for the kernel's next open of it.
    pub(crate) fn prepare(&self, stat: &FileStat, flags: i32, remote: RemoteFd) {
        let number = self.0.attributes.numbers.number(stat.device, stat.inode);
        let prepared = Prepared { flags: kind_of_open(flags), remote, device: stat.device };
        lock(&self.0.prepared).entry(number).or_default().push(prepared);
    }

    /// The number of a file that the kernel has found at a path.
    pub(crate) fn number_at(&self, path: &GuestPath) -> Option<u64> {
        lock(&self.0.nodes).find(path)
    }

    /// A path is no more.
    pub(super) fn handle_removed(&self, path: &GuestPath) {
        lock(&self.0.nodes).handle_removed(path);
    }

    /// A file has another path.
    pub(super) fn handle_renamed(&self, from: &GuestPath, to: &GuestPath, flags: u32) {
        let mut nodes = lock(&self.0.nodes);
        match flags & libc::RENAME_EXCHANGE {
            0 => nodes.handle_renamed(from, to),
            _ => nodes.handle_exchanged(from, to),
        }
    }

    /// What is at a path there, by the number and the type that the kernel would know; waits for the agent.
    pub(super) fn identity(&self, path: GuestPath) -> Option<Identity> {
        let (told_tx, told_rx) = mpsc::channel();
        // Who waits no more needs no answer.
        self.ask(FsCall::Stat { path, follow: false }, move |outcome| drop(told_tx.send(outcome)));
        match told_rx.recv() {
            Ok(Ok((AgentAnswer::Fs(FsAnswer::Stat(stat)), _))) => {
                let number = self.0.attributes.numbers.number(stat.device, stat.inode);
                Some((number, rustix::fs::FileType::from_raw_mode(stat.mode)))
            }
            _ => None,
        }
    }

    /// A file was changed by another way than its open handles: what they have read ahead is old.
    pub(super) fn handle_changed(&self, number: u64) {
        self.0.surveyor.handle_file_changed(number);
        for file in lock(&self.0.open).values().filter(|file| file.number == number) {
            file.handle_change();
        }
    }

    /// Every file that the kernel knows, with its names and where they are.
    pub(crate) fn all(&self) -> Vec<(u64, Names)> {
        lock(&self.0.nodes).all()
    }

    /// Gives up a prepared file; tells whether the kernel had not opened it.
    pub(crate) fn give_up(&self, stat: &FileStat, remote: RemoteFd) -> bool {
        let number = self.0.attributes.numbers.number(stat.device, stat.inode);
        let mut prepared = lock(&self.0.prepared);
        let Some(waiting) = prepared.get_mut(&number) else { return false };
        let n_before = waiting.len();
        waiting.retain(|file| file.remote != remote);
        let was_unused = waiting.len() < n_before;
        if waiting.is_empty() {
            prepared.remove(&number);
        }
        was_unused
    }

    /// Lets the agent close a file.
    pub(crate) fn close(&self, remote: RemoteFd) {
        self.0.agent.ask(AgentCall::Close(remote), None, |_| {});
    }

    /// A file that was opened for this open.
    pub(super) fn take_prepared(&self, number: u64, flags: i32) -> Option<Prepared> {
        let mut prepared = lock(&self.0.prepared);
        let waiting = prepared.get_mut(&number)?;
        let at = waiting.iter().position(|file| file.flags == kind_of_open(flags))?;
        let found = waiting.swap_remove(at);
        if waiting.is_empty() {
            prepared.remove(&number);
        }
        Some(found)
    }

    /// Asks the agent about files.
    pub(super) fn ask(&self, call: FsCall, tell: impl FnOnce(Outcome) + Send + 'static) {
        self.0.agent.ask(AgentCall::Fs(call), None, tell);
    }

    /// Where a file is found.
    pub(super) fn path(&self, number: INodeNo) -> Result<GuestPath, Errno> {
        // What has no path any more has been removed; what is open still answers by its handle.
        lock(&self.0.nodes).path(number.0).cloned().ok_or(Errno::ENOENT)
    }

    /// The path of a name.
    pub(super) fn child(&self, parent: INodeNo, name: &OsStr) -> Result<GuestPath, Errno> {
        lock(&self.0.nodes).child(parent.0, name.as_bytes()).ok_or(Errno::ENOENT)
    }

    /// The open file that a handle stands for.
    pub(super) fn open_file(&self, handle: FileHandle) -> Result<Arc<OpenFile>, Errno> {
        lock(&self.0.open).get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    /// A handle for a file that the agent holds open.
    pub(super) fn keep_open(&self, number: u64, remote: RemoteFd, device: u64) -> FileHandle {
        let handle = self.0.last_handle.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.0.open).insert(handle, OpenFile::new(self.0.agent.clone(), number, remote, device));
        FileHandle(handle)
    }

    /// The call by which a file's attributes are asked: by its path, or by an open handle where it has none any more.
    pub(super) fn stat_call(&self, number: INodeNo, handle: Option<FileHandle>) -> Result<FsCall, Errno> {
        if let Some(open) = handle.and_then(|handle| self.open_file(handle).ok()) {
            return Ok(FsCall::StatFile(open.remote));
        }
        self.path(number).map(|path| FsCall::Stat { path, follow: false }).or_else(|errno| {
            let open = lock(&self.0.open);
            let found = open.values().find(|file| file.number == number.0);
            found.map(|file| FsCall::StatFile(file.remote)).ok_or(errno)
        })
    }

    /// Notes that the kernel has found a file.
    pub(super) fn record_found(&self, path: GuestPath, stat: &FileStat) -> FileAttr {
        let attributes = self.0.attributes.lower(stat);
        lock(&self.0.nodes).handle_lookup(attributes.ino.0, path);
        attributes
    }

    /// Finds a file, and tells the kernel.
    pub(super) fn enter(&self, path: GuestPath, reply: ReplyEntry) {
        let this = self.clone();
        self.0.surveyor.stat(&path.clone(), false, move |told| match told {
            Ok((stat, left)) => reply.entry(&left, &this.record_found(path, &stat), GENERATION),
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    /// Does a call that makes something, and then finds it.
    pub(super) fn make(&self, call: Result<(FsCall, GuestPath), Errno>, reply: ReplyEntry) {
        let (call, path) = match call {
            Ok(call) => call,
            Err(errno) => return reply.error(errno),
        };
        let linked = if let FsCall::Link { from, .. } = &call { Some(from.clone()) } else { None };
        let this = self.clone();
        self.ask(call, move |outcome| match outcome {
            Ok(_) => {
                if let Some(linked) = linked {
                    this.0.surveyor.handle_attributes_changed(&linked, false);
                }
                this.0.surveyor.handle_name_changed(&path, true);
                this.enter(path, reply);
            }
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    /// Does a call of which only success matters.
    pub(super) fn change(
        &self,
        call: Result<FsCall, Errno>,
        reply: ReplyEmpty,
        then: impl FnOnce(&Self) + Send + 'static,
    ) {
        let this = self.clone();
        match call {
            Ok(call) => self.ask(call, move |outcome| match outcome {
                Ok(_) => {
                    then(&this);
                    reply.ok();
                }
                Err(fault) => reply.error(errno(&fault)),
            }),
            Err(errno) => reply.error(errno),
        }
    }

    /// Tells bytes, or only how many.
    pub(super) fn tell_bytes(&self, call: Result<FsCall, Errno>, size: u32, reply: ReplyXattr) {
        let call = match call {
            Ok(call) => call,
            Err(errno) => return reply.error(errno),
        };
        self.ask(call, move |outcome| match outcome {
            Ok((AgentAnswer::Fs(FsAnswer::Bytes(bytes)), _)) => {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                match size {
                    0 => reply.size(length),
                    _ if length <= size => reply.data(&bytes),
                    _ => reply.error(Errno::ERANGE),
                }
            }
            Ok(_) => reply.error(Errno::EIO),
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    /// Opens a file or a directory there, and hands its attributes and handle on.
    pub(super) fn open_there(
        &self,
        path: GuestPath,
        flags: i32,
        mode: u32,
        tell: impl FnOnce(Result<(FileStat, FileHandle), Errno>) + Send + 'static,
    ) {
        let this = self.clone();
        let call = FsCall::Open { path, flags, mode, want: Want::Handle(0) };
        self.ask(call, move |outcome| {
            tell(match outcome {
                Ok((AgentAnswer::Fs(FsAnswer::Opened { file: Some(remote), stat, path, .. }), _)) => {
                    let number = this.0.attributes.numbers.number(stat.device, stat.inode);
                    this.0.surveyor.handle_opened(&path, number, flags);
                    Ok((stat, this.keep_open(number, remote, stat.device)))
                }
                Ok(_) => Err(Errno::EIO),
                Err(fault) => Err(errno(&fault)),
            });
        });
    }

    /// Collects a listing, piece by piece, and then gives its first entries.
    pub(super) fn list(
        &self,
        file: Arc<OpenFile>,
        mut entries: Vec<Entry>,
        position: u64,
        reply: ReplyDirectory,
    ) {
        let this = self.clone();
        let call = FsCall::List { file: file.remote, position };
        self.ask(call, move |outcome| match outcome {
            Ok((AgentAnswer::Fs(FsAnswer::Entries { entries: more, next }), _)) => {
                entries.extend(more);
                if let Some(next) = next {
                    return this.list(file, entries, next, reply);
                }
                let listing = Arc::new(entries);
                *lock(&file.listing) = Some(listing.clone());
                this.handle_listed(file.number, listing.clone());
                this.give_entries(&file, &listing, 0, reply);
            }
            Ok(_) => reply.error(Errno::EIO),
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    /// A folder was listed from its beginning.
    fn handle_listed(&self, number: u64, listing: Arc<Vec<Entry>>) {
        let path = lock(&self.0.nodes).path(number).cloned();
        if let Some(path) = path {
            self.0.surveyor.handle_listed(path, listing);
        }
    }

    /// Gives entries from a position on.
    pub(super) fn give_entries(
        &self,
        file: &OpenFile,
        listing: &[Entry],
        from: usize,
        mut reply: ReplyDirectory,
    ) {
        for (index, entry) in listing.iter().enumerate().skip(from) {
            let number = self.0.attributes.numbers.number(file.device, entry.inode);
            let name = OsStr::from_bytes(&entry.name);
            if reply.add(INodeNo(number), index as u64 + 1, kind_of_entry(entry.kind), name) {
                break;
            }
        }
        reply.ok();
    }
}

/// How the kernel shall treat an open file: the sizes that `proc(5)` tells say nothing.
pub(super) fn open_flags(path: &GuestPath) -> FopenFlags {
    let is_odd = [&b"/proc/"[..], b"/sys/"].iter().any(|odd| path.as_bytes().starts_with(odd));
    if is_odd { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE }
}
