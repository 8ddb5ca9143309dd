//! Attributes by path, asked for many names of a folder at once where that is worth it.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use mirrord_core::proxy::{
    nodes::Numbers,
    surveys::{Around, Asked, LIFETIME, Surveys},
};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        fs::{Entry, FileStat, FsAnswer, FsCall},
    },
    fault::Fault,
    proxy::Looked,
    version::Version,
};
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;

use super::{agent::Agent, files::nonsense, settings::Changes};

/// The attributes of a file, and for how long they are to be believed.
pub(crate) type Told = Result<(FileStat, Duration), Fault>;

/// Whoever asks for attributes asks it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Surveyor(Arc<Inner>);

struct Inner {
    agent: Agent,
    since: Instant,
    surveys: Mutex<Surveys<Waiter>>,
    /// Where guests see that something has changed.
    changes: OnceLock<Changes>,
}

/// Who waits for the attributes of a path.
struct Waiter {
    path: GuestPath,
    follow: bool,
    tell: Box<dyn FnOnce(Told) + Send>,
}

impl Surveyor {
    /// For the files of an agent's target, which have these numbers here.
    pub(crate) fn new(agent: Agent, numbers: Numbers) -> Self {
        let surveys = Mutex::new(Surveys::new(numbers));
        Self(Arc::new(Inner { agent, since: Instant::now(), surveys, changes: OnceLock::new() }))
    }

    /// What is locked is changed by single calls: it is whole, whoever panicked.
    fn surveys(&self) -> MutexGuard<'_, Surveys<Waiter>> {
        self.0.surveys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for a change that the session has made. It is counted under the lock, so that what is told to guests
    /// is told with the count for which it is true.
    fn changed(&self) -> MutexGuard<'_, Surveys<Waiter>> {
        let surveys = self.surveys();
        if let Some(changes) = self.0.changes.get() {
            changes.count().fetch_add(1, Ordering::Release);
        }
        surveys
    }

    /// From now on guests see here that something has changed.
    pub(crate) fn show(&self, changes: Changes) {
        // Whoever shows it twice shows the same.
        let _ = self.0.changes.set(changes);
    }

    /// The attributes of a file, and of as many of the next names as are known.
    pub(crate) async fn look(&self, path: GuestPath, follow: bool, n_more: u16) -> Result<Looked, Fault> {
        let stat = self.ask(path.clone(), follow).await?;
        let alone = Looked { stat, ..Looked::default() };
        let Some(changes) = self.0.changes.get() else { return Ok(alone) };
        let mut surveys = self.surveys();
        let n_changes = changes.count().load(Ordering::Acquire);
        let around = surveys.around(&path, n_more.into(), self.now());
        Ok(match around.filter(|it| !(follow && it.stat.mode & libc::S_IFMT == libc::S_IFLNK)) {
            None => alone,
            Some(Around { stat, left, more }) => {
                let milliseconds = u32::try_from(left.as_millis()).unwrap_or_default();
                Looked { stat, milliseconds, n_changes, more }
            }
        })
    }

    fn now(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// The attributes of a file.
    pub(crate) async fn ask(&self, path: GuestPath, follow: bool) -> Result<FileStat, Fault> {
        let (told_tx, told_rx) = oneshot::channel();
        // Who waits no more needs no answer.
        self.stat(&path, follow, move |told| drop(told_tx.send(told)));
        told_rx.await.unwrap_or_else(|_| Err(Fault::os(libc::EIO))).map(|(stat, _)| stat)
    }

    /// The same from any thread; `tell` is called at once, or on the thread that listens to the agent.
    pub(crate) fn stat(&self, path: &GuestPath, follow: bool, tell: impl FnOnce(Told) + Send + 'static) {
        let waiter = Waiter { path: path.clone(), follow, tell: Box::new(tell) };
        if !self.0.agent.speaks(Version::STAT_NAMES) {
            return self.ask_alone(waiter);
        }
        let asked = self.surveys().handle_asked(path, follow, waiter, self.now());
        match asked {
            Asked::Known(stat, left, waiter) => (waiter.tell)(Ok((stat, left))),
            Asked::Waits => {}
            Asked::Alone(waiter) => self.ask_alone(waiter),
            Asked::Survey { piece, folder, names } => self.survey(piece, folder, names),
        }
    }

    fn ask_alone(&self, waiter: Waiter) {
        let Waiter { path, follow, tell } = waiter;
        self.0.agent.ask(AgentCall::Fs(FsCall::Stat { path, follow }), None, move |outcome| {
            tell(match outcome {
                Ok((AgentAnswer::Fs(FsAnswer::Stat(stat)), _)) => Ok((stat, LIFETIME)),
                Ok(_) => Err(nonsense()),
                Err(fault) => Err(fault),
            });
        });
    }

    fn survey(&self, piece: u64, folder: GuestPath, names: Vec<ByteBuf>) {
        let this = self.clone();
        let call = AgentCall::Fs(FsCall::StatNames { folder, names });
        self.0.agent.ask(call, None, move |outcome| {
            let told = match outcome {
                Ok((AgentAnswer::Fs(FsAnswer::Stats(told)), _)) => told,
                // Why, each hears when it asks alone.
                _ => Vec::new(),
            };
            let settled = this.surveys().finish(piece, &told, this.now());
            for (waiter, told) in settled {
                match told {
                    Some(told) => (waiter.tell)(Ok(told)),
                    None => this.ask_alone(waiter),
                }
            }
        });
    }

    /// A folder was listed, whose path has no links.
    pub(crate) fn handle_listed(&self, folder: GuestPath, listing: Arc<Vec<Entry>>) {
        self.surveys().handle_listed(folder, listing, self.now());
    }

    /// The session has changed a file.
    pub(crate) fn handle_file_changed(&self, number: u64) {
        self.changed().handle_file_changed(number);
    }

    /// The session has changed the attributes of the file at a path.
    pub(crate) fn handle_attributes_changed(&self, path: &GuestPath, follow: bool) {
        self.changed().handle_attributes_changed(path, follow);
    }

    /// The session has made a name or taken it away, in whose path there are no links, if it `is_straight`.
    pub(crate) fn handle_name_changed(&self, path: &GuestPath, is_straight: bool) {
        self.changed().handle_name_changed(path, is_straight);
    }

    /// The session has opened a file, in whose path there are no links.
    pub(crate) fn handle_opened(&self, path: &GuestPath, number: u64, flags: i32) {
        if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 {
            return;
        }
        let mut surveys = self.changed();
        surveys.handle_file_changed(number);
        if flags & libc::O_CREAT != 0 {
            surveys.handle_name_changed(path, true);
        }
    }

    /// The session has made a call by path, in which there may be links.
    pub(crate) fn handle_called(&self, call: &FsCall) {
        let mut surveys = self.changed();
        match call {
            FsCall::ChangeMode { path, follow, .. }
            | FsCall::ChangeOwner { path, follow, .. }
            | FsCall::SetTimes { path, follow, .. }
            | FsCall::SetAttribute { path, follow, .. }
            | FsCall::RemoveAttribute { path, follow, .. } => {
                surveys.handle_attributes_changed(path, *follow);
            }
            FsCall::Truncate { path, .. } => surveys.handle_attributes_changed(path, true),
            FsCall::Link { from, to, follow } => {
                surveys.handle_attributes_changed(from, *follow);
                surveys.handle_name_changed(to, false);
            }
            FsCall::Unlink(path)
            | FsCall::RemoveDir(path)
            | FsCall::MakeDir { path, .. }
            | FsCall::MakeNode { path, .. }
            | FsCall::Symlink { path, .. } => surveys.handle_name_changed(path, false),
            FsCall::Rename { from, to, .. } => {
                surveys.handle_name_changed(from, false);
                surveys.handle_name_changed(to, false);
            }
            _ => {}
        }
    }

    /// Another target is meant: nothing is believed.
    pub(crate) fn forget(&self) {
        self.changed().forget();
    }
}

#[cfg(test)]
mod tests;
