//! What the kernel asks of the mount.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, path::Path, time::SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use mirrord_core::proxy::window::Piece;
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer,
        fs::{FsAnswer, FsCall},
    },
};
use serde_bytes::ByteBuf;

use super::{
    change::{Change, perform},
    tree::{GENERATION, LIFETIME, Prepared, Tree, errno, lock, open_flags},
};

/// The most bytes of one write.
const MAX_WRITE: u32 = 1 << 20;

impl Filesystem for Tree {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = [
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ];
        for capability in wanted {
            // What the kernel does not know it does without.
            let _ = config.add_capabilities(capability);
        }
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.child(parent, name) {
            Ok(path) => self.enter(path, reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn forget(&self, _request: &Request, number: INodeNo, n_lookups: u64) {
        lock(&self.0.nodes).handle_forget(number.0, n_lookups);
    }

    fn getattr(&self, _request: &Request, number: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let call = match self.stat_call(number, handle) {
            Ok(call) => call,
            Err(errno) => return reply.error(errno),
        };
        let attributes = self.0.attributes;
        self.ask(call, move |outcome| match outcome {
            Ok((AgentAnswer::Fs(FsAnswer::Stat(stat)), _)) => {
                // A file that has been replaced is another one, which the kernel finds by its name.
                let known = FileAttr { ino: number, ..attributes.lower(&stat) };
                reply.attr(&LIFETIME, &known);
            }
            Ok(_) => reply.error(Errno::EIO),
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    fn setattr(
        &self,
        _request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _checked: Option<SystemTime>,
        _saved: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let open = handle.and_then(|handle| self.open_file(handle).ok());
        let last = match self.stat_call(number, handle) {
            Ok(call) => call,
            Err(errno) => return reply.error(errno),
        };
        let remote = open.as_ref().map(|open| open.remote);
        let change = Change { mode, uid, gid, size, accessed, modified };
        let path = match self.path(number) {
            Ok(path) => path,
            // What an open file without a name can still have changed is its size.
            Err(_) if remote.is_some() && change.is_of_size() => GuestPath::from("/"),
            Err(errno) => return reply.error(errno),
        };
        let calls = change.calls(&path, remote);
        let (this, attributes) = (self.clone(), self.0.attributes);
        perform(self.0.agent.clone(), calls, last, move |outcome| match outcome {
            Ok(stat) => {
                this.handle_changed(number.0);
                reply.attr(&LIFETIME, &FileAttr { ino: number, ..attributes.lower(&stat) });
            }
            Err(errno) => reply.error(errno),
        });
    }

    fn readlink(&self, _request: &Request, number: INodeNo, reply: ReplyData) {
        let path = match self.path(number) {
            Ok(path) => path,
            Err(errno) => return reply.error(errno),
        };
        self.ask(FsCall::ReadLink(path), move |outcome| match outcome {
            Ok((AgentAnswer::Fs(FsAnswer::Path(text)), _)) => reply.data(text.as_bytes()),
            Ok(_) => reply.error(Errno::EIO),
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    fn mknod(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        let call = self.child(parent, name).map(|path| (FsCall::MakeNode { path: path.clone(), mode }, path));
        self.make(call, reply);
    }

    fn mkdir(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let call = self.child(parent, name).map(|path| (FsCall::MakeDir { path: path.clone(), mode }, path));
        self.make(call, reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.child(parent, name);
        let call = path.clone().map(FsCall::Unlink);
        self.change(call, reply, move |this| {
            if let Ok(path) = path {
                this.0.surveyor.handle_name_changed(&path, true);
                this.handle_removed(&path);
            }
        });
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.child(parent, name);
        let call = path.clone().map(FsCall::RemoveDir);
        self.change(call, reply, move |this| {
            if let Ok(path) = path {
                this.0.surveyor.handle_name_changed(&path, true);
                this.handle_removed(&path);
            }
        });
    }

    fn symlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, text: &Path, reply: ReplyEntry) {
        let call = self
            .child(parent, name)
            .map(|path| (FsCall::Symlink { text: GuestPath::from(text), path: path.clone() }, path));
        self.make(call, reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let paths = self.child(parent, name).and_then(|from| Ok((from, self.child(new_parent, new_name)?)));
        let call = paths.clone().map(|(from, to)| FsCall::Rename { from, to, flags: flags.bits() });
        self.change(call, reply, move |this| {
            if let Ok((from, to)) = paths {
                this.0.surveyor.handle_name_changed(&from, true);
                this.0.surveyor.handle_name_changed(&to, true);
                this.handle_renamed(&from, &to, flags.bits());
            }
        });
    }

    fn link(
        &self,
        _request: &Request,
        number: INodeNo,
        new_parent: INodeNo,
        new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        let paths = self.path(number).and_then(|from| Ok((from, self.child(new_parent, new_name)?)));
        let call = paths.map(|(from, to)| (FsCall::Link { from, to: to.clone(), follow: false }, to));
        self.make(call, reply);
    }

    fn open(&self, _request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let path = self.path(number);
        if let Some(Prepared { remote, device, .. }) = self.take_prepared(number.0, flags.0) {
            let kernel = path.as_ref().map_or(FopenFlags::FOPEN_KEEP_CACHE, open_flags);
            return reply.opened(self.keep_open(number.0, remote, device), kernel);
        }
        let path = match path {
            Ok(path) => path,
            Err(errno) => return reply.error(errno),
        };
        let kernel = open_flags(&path);
        let flags = flags.0 & !(libc::O_CREAT | libc::O_EXCL);
        self.open_there(path, flags, 0, move |opened| match opened {
            Ok((_, handle)) => reply.opened(handle, kernel),
            Err(errno) => reply.error(errno),
        });
    }

    fn create(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let path = match self.child(parent, name) {
            Ok(path) => path,
            Err(errno) => return reply.error(errno),
        };
        let this = self.clone();
        let kernel = open_flags(&path);
        self.open_there(path.clone(), flags | libc::O_CREAT, mode & 0o7777, move |opened| match opened {
            Ok((stat, handle)) => {
                let attributes = this.record_found(path, &stat);
                reply.created(&LIFETIME, &attributes, GENERATION, handle, kernel);
            }
            Err(errno) => reply.error(errno),
        });
    }

    fn read(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.open_file(handle) {
            Ok(file) => file.read(Piece { offset, length: size }, reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.open_file(handle) {
            Ok(file) => {
                let this = self.clone();
                file.write(offset, bytes, reply, move || this.handle_changed(number.0));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        lock(&self.0.open).remove(&handle.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        let call = self.open_file(handle).map(|file| FsCall::Sync { file: file.remote, data_only });
        self.change(call, reply, |_| {});
    }

    fn opendir(&self, _request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if let Some(Prepared { remote, device, .. }) = self.take_prepared(number.0, flags.0) {
            return reply.opened(self.keep_open(number.0, remote, device), FopenFlags::empty());
        }
        let path = match self.path(number) {
            Ok(path) => path,
            Err(errno) => return reply.error(errno),
        };
        self.open_there(path, libc::O_RDONLY | libc::O_DIRECTORY, 0, move |opened| match opened {
            Ok((_, handle)) => reply.opened(handle, FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        });
    }

    fn readdir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let file = match self.open_file(handle) {
            Ok(file) => file,
            Err(errno) => return reply.error(errno),
        };
        let listing = lock(&file.listing).clone();
        match listing.filter(|_| offset != 0) {
            Some(listing) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                self.give_entries(&file, &listing, from, reply);
            }
            None => self.list(file, Vec::new(), 0, reply),
        }
    }

    fn releasedir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        lock(&self.0.open).remove(&handle.0);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.fsync(request, number, handle, data_only, reply);
    }

    fn statfs(&self, _request: &Request, number: INodeNo, reply: ReplyStatfs) {
        let path = match self.path(number) {
            Ok(path) => path,
            Err(errno) => return reply.error(errno),
        };
        self.ask(FsCall::StatFs(path), move |outcome| match outcome {
            Ok((AgentAnswer::Fs(FsAnswer::FileSystem(stat)), _)) => {
                let narrow = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
                reply.statfs(
                    stat.n_blocks,
                    stat.n_free,
                    stat.n_available,
                    stat.n_files,
                    stat.n_files_free,
                    narrow(stat.block_size),
                    narrow(stat.name_length),
                    narrow(stat.fragment_size),
                );
            }
            Ok(_) => reply.error(Errno::EIO),
            Err(fault) => reply.error(errno(&fault)),
        });
    }

    fn setxattr(
        &self,
        _request: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let call = self.path(number).map(|path| FsCall::SetAttribute {
            path,
            name: ByteBuf::from(name.as_bytes()),
            value: ByteBuf::from(value),
            flags,
            follow: false,
        });
        self.change(call, reply, move |this| this.0.surveyor.handle_file_changed(number.0));
    }

    fn getxattr(&self, _request: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = ByteBuf::from(name.as_bytes());
        let call = self.path(number).map(|path| FsCall::GetAttribute { path, name, follow: false });
        self.tell_bytes(call, size, reply);
    }

    fn listxattr(&self, _request: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let call = self.path(number).map(|path| FsCall::ListAttributes { path, follow: false });
        self.tell_bytes(call, size, reply);
    }

    fn removexattr(&self, _request: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = ByteBuf::from(name.as_bytes());
        let call = self.path(number).map(|path| FsCall::RemoveAttribute { path, name, follow: false });
        self.change(call, reply, move |this| this.0.surveyor.handle_file_changed(number.0));
    }
}
