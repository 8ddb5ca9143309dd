//! Files that are held open for a session, by handle.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mirrord_protocol::{
    agent::fs::{Entry, FsAnswer, FsCall},
    id::RemoteFd,
};
use rustix::{
    fs::{RawDir, SeekFrom},
    io::{Errno, Result},
};
use serde_bytes::ByteBuf;

use super::{change::offset, open::MAX_BYTES, stat::stat};

/// How many files a session may hold.
const MAX_FILES: usize = 1 << 16;

/// How many bytes of entries the kernel is asked for at once: what they become fits a frame.
const LISTING: usize = 128 << 10;

/// A session's open files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: RemoteFd,
    open: HashMap<RemoteFd, Arc<OpenFile>>,
}

#[derive(Debug)]
struct OpenFile {
    descriptor: OwnedFd,
    /// The position of a listing is the descriptor's own: one listing at a time.
    listing: Mutex<()>,
}

impl Files {
    /// Holds a file.
    pub(super) fn keep(&self, descriptor: OwnedFd) -> Result<RemoteFd> {
        let mut table = lock(&self.table);
        if table.open.len() >= MAX_FILES {
            return Err(Errno::MFILE);
        }
        table.last = table.last.next();
        let handle = table.last;
        table.open.insert(handle, Arc::new(OpenFile { descriptor, listing: Mutex::new(()) }));
        Ok(handle)
    }

    /// Forgets a file.
    pub(crate) fn close(&self, handle: RemoteFd) {
        lock(&self.table).open.remove(&handle);
    }

    fn find(&self, handle: RemoteFd) -> Result<Arc<OpenFile>> {
        lock(&self.table).open.get(&handle).cloned().ok_or(Errno::BADF)
    }

    /// Does a call on an open file.
    pub(super) fn perform(&self, call: &FsCall) -> Result<FsAnswer> {
        match call {
            FsCall::ReadAt { file, offset, length } => self.find(*file)?.read(*offset, *length),
            FsCall::WriteAt { file, offset, bytes } => self.find(*file)?.write(*offset, bytes),
            FsCall::StatFile(file) => stat(self.find(*file)?.descriptor.as_fd()).map(FsAnswer::Stat),
            FsCall::TruncateFile { file, size } => {
                offset(*size)?;
                rustix::fs::ftruncate(&self.find(*file)?.descriptor, *size)?;
                Ok(FsAnswer::Done)
            }
            FsCall::Sync { file, data_only } => {
                let file = self.find(*file)?;
                let sync = if *data_only { rustix::fs::fdatasync } else { rustix::fs::fsync };
                sync(&file.descriptor).map(|()| FsAnswer::Done)
            }
            FsCall::List { file, position } => self.find(*file)?.list(*position),
            _ => Err(Errno::INVAL),
        }
    }
}

impl OpenFile {
    fn read(&self, from: u64, length: u32) -> Result<FsAnswer> {
        let mut bytes = Vec::with_capacity(length.min(MAX_BYTES) as usize);
        if bytes.capacity() == 0 {
            return Ok(super::bytes(bytes));
        }
        let place = rustix::buffer::spare_capacity(&mut bytes);
        match rustix::io::pread(&self.descriptor, place, from) {
            // A fifo has no positions.
            Err(Errno::SPIPE) => {
                rustix::io::read(&self.descriptor, rustix::buffer::spare_capacity(&mut bytes))?;
            }
            outcome => {
                outcome?;
            }
        }
        Ok(super::bytes(bytes))
    }

    fn write(&self, to: u64, bytes: &[u8]) -> Result<FsAnswer> {
        let n_written = match rustix::io::pwrite(&self.descriptor, bytes, to) {
            Err(Errno::SPIPE) => rustix::io::write(&self.descriptor, bytes)?,
            outcome => outcome?,
        };
        u32::try_from(n_written).map(FsAnswer::Written).map_err(|_| Errno::OVERFLOW)
    }

    fn list(&self, position: u64) -> Result<FsAnswer> {
        let _one_at_a_time = lock(&self.listing);
        rustix::fs::seek(&self.descriptor, SeekFrom::Start(position))?;
        let mut buffer = vec![MaybeUninit::uninit(); LISTING];
        let mut directory = RawDir::new(&self.descriptor, &mut buffer);
        let (mut entries, mut next) = (Vec::new(), None);
        while let Some(entry) = directory.next() {
            let entry = entry?;
            next = Some(entry.next_entry_cookie());
            entries.push(Entry {
                name: ByteBuf::from(entry.file_name().to_bytes()),
                kind: entry.file_type().as_raw_mode().checked_shr(12).map_or(0, kind),
                inode: entry.ino(),
            });
            if directory.is_buffer_empty() {
                break;
            }
        }
        Ok(FsAnswer::Entries { entries, next })
    }
}

/// `DT_*` is the type's part of a mode, moved down.
fn kind(bits: u32) -> u8 {
    u8::try_from(bits & 0xf).unwrap_or_default()
}

/// A lock whose holder cannot have left things half done: what it guards is changed by single calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
