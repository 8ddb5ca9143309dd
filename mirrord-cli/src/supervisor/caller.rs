//! Who calls: a thread that waits, its process, its program, and what can be asked and done for it.

use std::{
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
};

use mirrord_core::{rules::fs::Here, verdict::Errno};
use mirrord_protocol::{
    fault::Fault,
    proxy::{FromProxy, ToProxy},
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use super::{
    crew::Turn,
    filter, fs,
    guests::{self, Guest, Program},
    link::{LinkError, Reply},
    lookout::has_signal,
    memory::{CLOSED, Memory},
    net,
    notify::{Answer, Call, Gone, Listener},
    own,
    serve::Supervisor,
};

/// A caught call in its surroundings.
pub(super) struct Caller<'a> {
    pub(super) supervisor: &'a Supervisor,
    pub(super) listener: &'a Listener,
    pub(super) call: &'a Call,
    /// Whoever keeps its worker hands this over before.
    pub(super) turn: &'a Turn<'a>,
    pub(super) guest: &'a Arc<Guest>,
    pub(super) program: Arc<Program>,
}

/// What the guest sees of a failure.
pub(super) type Outcome<T> = Result<T, Errno>;

impl Caller<'_> {
    /// What becomes of the call.
    pub(super) fn decide(&self) -> Answer {
        if self.call.machine != filter::MACHINE {
            return own::narrow(self);
        }
        if let Some(answer) = own::decide(self) {
            return answer;
        }
        if self.program.is_skipped {
            return Answer::Continue;
        }
        fs::decide(self).or_else(|| net::decide(self)).unwrap_or(Answer::Continue)
    }

    /// An argument.
    pub(super) fn argument(&self, index: usize) -> u64 {
        self.call.arguments[index]
    }

    /// An argument that the kernel takes as a 32-bit number: its low half.
    pub(super) fn unsigned(&self, index: usize) -> u32 {
        let [a, b, c, d, ..] = self.argument(index).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// As above, with a sign.
    pub(super) fn int(&self, index: usize) -> i32 {
        self.unsigned(index).cast_signed()
    }

    /// An argument that is a length.
    pub(super) fn size(&self, index: usize) -> usize {
        usize::try_from(self.argument(index)).unwrap_or(usize::MAX)
    }

    /// The guest's memory.
    pub(super) fn memory(&self) -> Memory {
        Memory(self.call.thread)
    }

    /// The guest's memory cannot be read, for this reason: one that lets nobody look into it is told of, because its
    /// calls are not ours then.
    pub(super) fn record_unreadable(&self, why: Errno) {
        if why == CLOSED {
            let name = String::from_utf8_lossy(&self.program.executable).into_owned();
            self.warn(format!(
                "`{name}` lets nobody look into its memory (`PR_SET_DUMPABLE`); mirrord cannot see its file and network calls"
            ));
        }
    }

    /// Whether the thread still waits: what was read of it before is then its own.
    pub(super) fn check(&self) -> Result<(), Gone> {
        self.listener.check(self.call)
    }

    /// What the default lists of files need to know.
    pub(super) fn here(&self) -> Here<'_> {
        self.supervisor.here(&self.program.executable)
    }

    /// A path among the thread's files of `/proc`.
    pub(super) fn link(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.call.thread)
    }

    /// Our duplicate of a descriptor of the guest's. Nothing if it has none behind that number, or we may not.
    pub(super) fn duplicate(&self, number: RawFd) -> Option<OwnedFd> {
        match &self.supervisor.sockets.kept {
            Some(kept) => kept.duplicate(self, number),
            None => pidfd_getfd(self.guest.process(), number, PidfdGetfdFlags::empty()).ok(),
        }
    }

    /// Whether the guest has a number left for one descriptor more: what cannot be taken back is not done without. Before
    /// Linux 6.2 nobody tells how many it has.
    pub(super) fn find_room(&self) -> Outcome<()> {
        let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: 0 };
        // SAFETY: no new limits are given, and the place for the old ones is ours.
        let asked =
            unsafe { libc::prlimit(self.guest.pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit) };
        let folder = self.link("fd");
        let n_open = std::fs::metadata(&folder).map_or(0, |it| std::os::unix::fs::MetadataExt::size(&it));
        if asked != 0 || n_open < limit.rlim_cur {
            return Ok(());
        }
        // Some may have numbers from before the limit was set, beyond it.
        let numbers = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<libc::rlim_t>().ok());
        let n_below = numbers.filter(|number| *number < limit.rlim_cur).count();
        if u64::try_from(n_below).is_ok_and(|n_below| n_below < limit.rlim_cur) {
            Ok(())
        } else {
            Err(Errno(libc::EMFILE))
        }
    }

    /// Asks the proxy.
    pub(super) fn ask(&self, question: &ToProxy) -> Result<Reply, LinkError> {
        self.supervisor.link.ask(question, None, &|answer| self.turn.wait_for(answer))
    }

    /// Tells the developer something, once for each text.
    pub(super) fn warn(&self, text: String) {
        self.turn.hand_over();
        self.supervisor.warn(text);
    }

    /// Asks the proxy, with a descriptor that rides along.
    pub(super) fn ask_with(
        &self,
        question: &ToProxy,
        descriptor: BorrowedFd<'_>,
    ) -> Result<Reply, LinkError> {
        self.supervisor.link.ask(question, Some(descriptor), &|answer| self.turn.wait_for(answer))
    }

    /// Asks the proxy what only the network can answer, as long as the guest waits and no signal comes.
    pub(super) fn ask_patiently(&self, question: &ToProxy) -> Result<Reply, LinkError> {
        self.turn.hand_over();
        self.supervisor.link.ask_patiently(question, &|| self.waits())
    }

    /// Whether the guest goes on waiting in a call that blocks: it lives, and no signal has come for it.
    pub(super) fn waits(&self) -> bool {
        self.check().is_ok() && !has_signal(self.call, self.guest)
    }

    /// The thread's umask.
    pub(super) fn without_umask(&self, mode: u32) -> u32 {
        const USUAL: u32 = 0o022;
        let umask = guests::status(self.call.thread)
            .and_then(|status| u32::from_str_radix(guests::field(&status, "Umask:")?, 8).ok())
            .unwrap_or(USUAL);
        mode & 0o7777 & !umask
    }
}

/// What an answer means that is nothing but done, or failed.
pub(super) fn settle(reply: Result<Reply, LinkError>, lost: Errno) -> Outcome<(FromProxy, Vec<OwnedFd>)> {
    let reply = reply.map_err(|_| lost)?;
    match reply.answer {
        FromProxy::Failed(Fault { errno, .. }) => Err(Errno(errno)),
        answer => Ok((answer, reply.descriptors)),
    }
}
