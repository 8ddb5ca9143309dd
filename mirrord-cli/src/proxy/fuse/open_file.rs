//! An open file of the mount: its handle there, and what was read ahead.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use fuser::{Errno, ReplyData, ReplyWrite};
use mirrord_core::proxy::window::{Fetch, Piece, Read, Windows};
use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall,
        fs::{Entry, FsAnswer, FsCall},
    },
    id::RemoteFd,
};
use serde_bytes::ByteBuf;

use crate::proxy::agent::{Agent, Outcome};

/// An open file.
pub(super) struct OpenFile {
    agent: Agent,
    pub(super) remote: RemoteFd,
    /// The number by which the kernel knows it.
    pub(super) number: u64,
    since: Instant,
    windows: Mutex<Windows<ReplyData>>,
    /// For a directory: what it had when it was read from its beginning.
    pub(super) listing: Mutex<Option<Arc<Vec<Entry>>>>,
    /// The device on which it stands there.
    pub(super) device: u64,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.agent.ask(AgentCall::Close(self.remote), None, |_| {});
    }
}

impl OpenFile {
    /// A file that the agent holds open.
    pub(super) fn new(agent: Agent, number: u64, remote: RemoteFd, device: u64) -> Arc<Self> {
        Arc::new(Self {
            agent,
            number,
            remote,
            since: Instant::now(),
            windows: Mutex::default(),
            listing: Mutex::default(),
            device,
        })
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, Windows<ReplyData>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, from what is here if possible.
    pub(super) fn read(self: &Arc<Self>, piece: Piece, reply: ReplyData) {
        let now = self.since.elapsed();
        let mut windows = self.windows();
        let alone = match windows.handle_read(piece, reply, now) {
            Read::Known(bytes, reply) => {
                reply.data(&bytes);
                None
            }
            Read::Waits => None,
            Read::FetchAlone(piece, reply) => Some((piece, reply)),
        };
        let fetches: Vec<_> = std::iter::from_fn(|| windows.next_fetch(now)).collect();
        drop(windows);
        for fetch in fetches {
            let this = self.clone();
            self.agent.ask(self.call(fetch.piece), None, move |outcome| this.fill(outcome, fetch));
        }
        if let Some((piece, reply)) = alone {
            self.agent.ask(self.call(piece), None, move |outcome| match bytes_of(outcome) {
                Ok(bytes) => reply.data(&bytes),
                Err(errno) => reply.error(errno),
            });
        }
    }

    fn call(&self, piece: Piece) -> AgentCall {
        AgentCall::Fs(FsCall::ReadAt { file: self.remote, offset: piece.offset, length: piece.length })
    }

    fn fill(&self, outcome: Outcome, fetch: Fetch) {
        let mut windows = self.windows();
        match bytes_of(outcome) {
            Ok(bytes) => {
                for (bytes, reply) in windows.finish(fetch, bytes, self.since.elapsed()) {
                    reply.data(bytes);
                }
            }
            Err(errno) => {
                for reply in windows.fail(fetch) {
                    reply.error(errno);
                }
            }
        }
    }

    /// Writes through, and lets whoever reads the same file know.
    pub(super) fn write(
        self: &Arc<Self>,
        offset: u64,
        bytes: &[u8],
        reply: ReplyWrite,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.windows().handle_change();
        let call = FsCall::WriteAt { file: self.remote, offset, bytes: ByteBuf::from(bytes) };
        self.agent.ask(AgentCall::Fs(call), None, move |outcome| {
            then();
            match outcome {
                Ok((AgentAnswer::Fs(FsAnswer::Written(n_written)), _)) => reply.written(n_written),
                Ok(_) => reply.error(Errno::EIO),
                Err(fault) => reply.error(Errno::from_i32(fault.errno)),
            }
        });
    }

    /// The file was changed by another way than this one.
    pub(super) fn handle_change(&self) {
        self.windows().handle_change();
    }
}

fn bytes_of(outcome: Outcome) -> Result<Vec<u8>, Errno> {
    match outcome {
        Ok((AgentAnswer::Fs(FsAnswer::Bytes(bytes)), _)) => Ok(bytes.into_vec()),
        Ok(_) => Err(Errno::EIO),
        Err(fault) => Err(Errno::from_i32(fault.errno)),
    }
}
