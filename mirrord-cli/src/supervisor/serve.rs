//! How calls reach workers: as many as wait at once, so that one that blocks holds up nobody.

use std::{
    io,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use mirrord_config::handoff::Handoff;
use mirrord_core::rules::{Rules, fs::Here};
use mirrord_protocol::{
    proxy::{ToProxy, lineage::Note, sockets::PORT_PAGE},
    wire::MAX_FRAME,
};
use rustix::{
    event::{PollFd, PollFlags},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

use super::{
    caller::Caller,
    guests::Guests,
    link::{Link, LinkError, Reply},
    net::{Sockets, kept::Kept},
    notify::{Answer, Call, Listener},
};

/// Workers that wait although none is needed.
const N_IDLE: usize = 4;

/// The most workers: so many calls may block at once.
const N_WORKERS: usize = 4096;

/// The stack of a worker; what is large lies on the heap.
const STACK: usize = 512 << 10;

/// What a supervisor knows.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// The proxy.
    pub(super) link: Link,
    /// What the session may do.
    pub(super) rules: Arc<Rules>,
    /// What it has found.
    pub(super) facts: mirrord_config::handoff::Facts,
    /// The page of ports on which the session listens here.
    ports: Page,
    /// What is known of sockets.
    pub(super) sockets: Sockets,
    /// The user's folders.
    pub(super) home: Option<Vec<u8>>,
    /// `TMPDIR`.
    pub(super) temp_dir: Option<Vec<u8>>,
    /// Who is supervised.
    pub(super) guests: Guests,
    /// Whether guests gain no privileges by what they run.
    pub(super) is_confined: bool,
}

/// Memory that the proxy writes and we read.
#[derive(Debug)]
struct Page(std::ptr::NonNull<u8>);

// SAFETY: the page stays mapped for ever, and is only read, byte by byte.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

/// What its starter tells a supervisor.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// `HOME`.
    pub(super) home: Option<Vec<u8>>,
    /// `TMPDIR`.
    pub(super) temp_dir: Option<Vec<u8>>,
}

impl Supervisor {
    /// Asks the proxy for its settings.
    pub(super) fn new(address: &str, around: Surroundings) -> io::Result<Self> {
        let link = Link::new(address)?;
        let lost = |_: LinkError| io::Error::from(io::ErrorKind::ConnectionRefused);
        let pid = std::process::id().cast_signed();
        let (connection, reply) = link.greet(pid, "supervisor", true).map_err(lost)?;
        link.keep(connection);
        let (Handoff { rules, facts }, ports) = settings(reply)?;
        let rules = Arc::new(rules);
        let guests = Guests::new(rules.clone())?;
        Ok(Self {
            link,
            guests,
            sockets: Sockets::new(&facts, !can_take_descriptors()),
            rules,
            facts,
            ports,
            home: around.home,
            temp_dir: around.temp_dir,
            is_confined: false,
        })
    }

    /// Whether the session listens on a TCP port here.
    pub(super) fn is_our_port(&self, port: u16) -> bool {
        let byte = self.ports.0.as_ptr().wrapping_add(usize::from(port / 8));
        // SAFETY: the page has a bit for every port; the proxy writes it, so it is read afresh.
        let byte = unsafe { byte.read_volatile() };
        byte & (1 << (port % 8)) != 0
    }

    /// What the default lists of files need to know.
    pub(super) fn here<'a>(&'a self, executable: &'a [u8]) -> Here<'a> {
        let start = self.facts.start_dir.as_slice();
        Here {
            home: self.home.as_deref(),
            temp_dir: self.temp_dir.as_deref(),
            start_dir: (start.len() > 1).then_some(start),
            executable: (!executable.is_empty()).then_some(executable),
        }
    }

    /// Tells the developer something, once for each text.
    pub(super) fn warn(&self, text: String) {
        drop(self.link.ask(&ToProxy::Note(Note::Warning(text)), None));
    }

    /// Answers calls until nobody is left who could make one.
    pub(super) fn serve(self, listener: OwnedFd) {
        let desk = Arc::new(Desk {
            supervisor: self,
            listener: Listener::new(listener),
            n_idle: AtomicUsize::new(0),
            n_workers: AtomicUsize::new(0),
        });
        if desk.supervisor.sockets.kept.is_some() {
            let keeper = desk.clone();
            let keep = move || keeper.supervisor.sockets.kept.as_ref().map(Kept::watch);
            drop(thread::Builder::new().stack_size(STACK).spawn(keep));
        }
        let watched = desk.clone();
        drop(thread::Builder::new().stack_size(STACK).spawn(move || watched.supervisor.guests.watch()));
        desk.engage();
        // The kernel hangs up when the last guest is gone; before that nothing is asked for.
        loop {
            let mut asked = [PollFd::from_borrowed_fd(desk.listener.as_fd(), PollFlags::empty())];
            let polled = rustix::event::poll(&mut asked, None);
            if polled.is_ok() && asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
                return;
            }
        }
    }
}

/// Whether descriptors may be taken from guests: what the profile of a container forbids it forbids for ourselves, too.
fn can_take_descriptors() -> bool {
    let own = pidfd_open(getpid(), PidfdFlags::empty());
    own.and_then(|own| pidfd_getfd(own, 0, PidfdGetfdFlags::empty())).is_ok()
}

fn settings(mut reply: Reply) -> io::Result<(Handoff, Page)> {
    if reply.descriptors.len() != 2 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (ports, rules) = (reply.descriptors.remove(1), reply.descriptors.remove(0));
    let size = usize::try_from(rustix::fs::fstat(&rules)?.st_size).map_err(io::Error::other)?;
    let mut bytes = vec![0; size.min(MAX_FRAME)];
    // All who have these settings share one position in them: nobody moves it.
    std::os::unix::fs::FileExt::read_exact_at(&std::fs::File::from(rules), &mut bytes, 0)?;
    let handoff = Handoff::decode(&bytes).map_err(io::Error::other)?;
    if rustix::fs::fstat(&ports)?.st_size < PORT_PAGE.cast_signed() as i64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (protection, flags) = (rustix::mm::ProtFlags::READ, rustix::mm::MapFlags::SHARED);
    // SAFETY: a fresh mapping replaces nothing; the proxy has sealed its size.
    let page = unsafe { rustix::mm::mmap(std::ptr::null_mut(), PORT_PAGE, protection, flags, &ports, 0) }?;
    let page = std::ptr::NonNull::new(page).ok_or(io::ErrorKind::InvalidData)?;
    Ok((handoff, Page(page.cast())))
}

/// A supervisor at work.
struct Desk {
    supervisor: Supervisor,
    listener: Listener,
    n_idle: AtomicUsize,
    n_workers: AtomicUsize,
}

impl Desk {
    /// One worker more. Without one, calls wait until another is free.
    fn engage(self: &Arc<Self>) {
        if self.n_workers.fetch_add(1, Ordering::Relaxed) >= N_WORKERS {
            self.n_workers.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.n_idle.fetch_add(1, Ordering::AcqRel);
        let desk = self.clone();
        let started = thread::Builder::new().stack_size(STACK).spawn(move || {
            desk.work();
            desk.n_workers.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            self.n_idle.fetch_sub(1, Ordering::AcqRel);
            self.n_workers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes calls, one at a time, until there are workers enough without this one. It begins as idle.
    fn work(self: &Arc<Self>) {
        loop {
            let call = match self.listener.receive() {
                Ok(Some(call)) => call,
                Ok(None) => continue,
                Err(_) => break,
            };
            if self.n_idle.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.engage();
            }
            self.answer(&call);
            if self.n_idle.fetch_add(1, Ordering::AcqRel) >= N_IDLE {
                break;
            }
        }
        self.n_idle.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whatever happens, the guest is answered.
    fn answer(&self, call: &Call) {
        let answer = catch_unwind(AssertUnwindSafe(|| self.decide(call)));
        // Nobody waits any more: the guest was ended.
        let _ = self.listener.answer(call, answer.unwrap_or(Answer::Continue));
    }

    fn decide(&self, call: &Call) -> Answer {
        let Some(guest) = self.supervisor.guests.of(call.thread) else { return Answer::Continue };
        let program = guest.program(&self.supervisor.rules);
        let caller =
            Caller { supervisor: &self.supervisor, listener: &self.listener, call, guest: &guest, program };
        caller.decide()
    }
}
