//! Files that are open there, under numbers of our own: where the agent has changed, they are opened again by path.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        fs::{FsAnswer, FsCall, Want},
    },
    fault::Fault,
    id::RemoteFd,
};

use super::link::{Link, Outcome, Tell};

/// What an open does once: it must not happen again.
const ONCE: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;

/// The files that are open there.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: RemoteFd,
    open: HashMap<RemoteFd, Handle>,
}

/// An open file.
#[derive(Clone, Debug)]
struct Handle {
    path: GuestPath,
    flags: i32,
    /// Whose number it is.
    link: u64,
    remote: RemoteFd,
}

impl Handles {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks an agent, in its own numbers.
    pub(crate) fn ask(
        self: Arc<Self>,
        link: &Link,
        mut call: AgentCall,
        descriptor: Option<OwnedFd>,
        tell: impl FnOnce(Outcome) + Send + 'static,
    ) {
        if let AgentCall::Close(file) = call {
            return self.close(link, file, Box::new(tell));
        }
        if let AgentCall::Fs(FsCall::Open { flags, want: Want::Handle(_), .. }) = call {
            let id = link.id();
            return link.ask(call, descriptor, move |outcome| tell(self.record(outcome, id, flags)));
        }
        let Some(file) = file_of(&mut call) else { return link.ask(call, descriptor, tell) };
        let ours = *file;
        let handle = self.table().open.get(&ours).cloned();
        match handle {
            None => tell(Err(Fault::os(libc::EBADF))),
            Some(handle) if handle.link == link.id() => {
                *file = handle.remote;
                link.ask(call, descriptor, tell);
            }
            Some(handle) => self.reopen(link, ours, handle, call, Box::new(tell)),
        }
    }

    fn close(&self, link: &Link, file: RemoteFd, tell: Tell) {
        let handle = self.table().open.remove(&file);
        match handle {
            Some(handle) if handle.link == link.id() => {
                link.ask(AgentCall::Close(handle.remote), None, tell);
            }
            // Whoever held it is gone.
            _ => tell(Ok((AgentAnswer::Done, None))),
        }
    }

    /// Gives the file of an answer a number of ours.
    fn record(&self, mut outcome: Outcome, link: u64, flags: i32) -> Outcome {
        if let Ok((AgentAnswer::Fs(FsAnswer::Opened { file: Some(file), path, .. }), _)) = &mut outcome {
            let handle = Handle { path: path.clone(), flags, link, remote: *file };
            let mut table = self.table();
            table.last = table.last.next();
            *file = table.last;
            let number = table.last;
            table.open.insert(number, handle);
        }
        outcome
    }

    /// Opens a file of an earlier agent at this one, and then asks what was to be asked.
    fn reopen(self: Arc<Self>, link: &Link, ours: RemoteFd, handle: Handle, mut call: AgentCall, tell: Tell) {
        let open =
            FsCall::Open { path: handle.path, flags: handle.flags & !ONCE, mode: 0, want: Want::Handle(0) };
        let asker = link.clone();
        link.ask(AgentCall::Fs(open), None, move |outcome| match outcome {
            Ok((AgentAnswer::Fs(FsAnswer::Opened { file: Some(remote), .. }), _)) => {
                let remote = self.replace(&asker, ours, remote);
                if let Some(file) = file_of(&mut call) {
                    *file = remote;
                }
                asker.ask(call, None, tell);
            }
            // What was open is no more: the kernel's word for that.
            Ok(_) => tell(Err(Fault::os(libc::ESTALE))),
            Err(fault) if fault.errno == libc::ENOENT => tell(Err(Fault::os(libc::ESTALE))),
            Err(fault) => tell(Err(fault)),
        });
    }

    /// Notes what a file is at another agent. Where that was done already, one is too many.
    fn replace(&self, link: &Link, ours: RemoteFd, remote: RemoteFd) -> RemoteFd {
        let kept = {
            let mut table = self.table();
            match table.open.get_mut(&ours) {
                Some(handle) if handle.link == link.id() => handle.remote,
                Some(handle) => {
                    (handle.link, handle.remote) = (link.id(), remote);
                    remote
                }
                // Closed meanwhile: nobody will close it after this one call.
                None => remote,
            }
        };
        if kept != remote {
            link.ask(AgentCall::Close(remote), None, |_| {});
        }
        kept
    }
}

/// The file that a call is about, if it is open.
fn file_of(call: &mut AgentCall) -> Option<&mut RemoteFd> {
    let AgentCall::Fs(call) = call else { return None };
    match call {
        FsCall::ReadAt { file, .. }
        | FsCall::WriteAt { file, .. }
        | FsCall::StatFile(file)
        | FsCall::TruncateFile { file, .. }
        | FsCall::Sync { file, .. }
        | FsCall::List { file, .. } => Some(file),
        _ => None,
    }
}
