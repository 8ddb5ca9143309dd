//! How calls reach workers, so that one that blocks holds up nobody.

use std::{
    io,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mirrord_config::handoff::Handoff;
use mirrord_core::rules::{Rules, fs::Here};
use mirrord_protocol::{
    proxy::{
        ToProxy,
        lineage::Note,
        sockets::{CHANGES, SHARED},
    },
    wire::MAX_FRAME,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

use super::{
    caller::Caller,
    crew::{Crew, Need, Turn},
    guests::Guests,
    link::{Link, LinkError, Reply},
    lookout::Lookout,
    net::{Sockets, kept::Kept},
    notify::{Answer, Call, Listener},
};

/// How often it is looked whether a worker is kept that nobody thought would be.
const LOOK_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

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
    /// Which of them still wait.
    pub(super) lookout: Lookout,
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
            lookout: Lookout::new()?,
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

    /// How often the session has changed a file, where they are proxied.
    pub(super) fn n_changes(&self) -> u64 {
        let place = self.ports.0.as_ptr().wrapping_add(CHANGES).cast::<()>().cast::<AtomicU64>();
        // SAFETY: the count stands there, aligned, for as long as we live; the proxy counts it up.
        unsafe { &*place }.load(Ordering::Acquire)
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
        drop(self.link.ask(&ToProxy::Note(Note::Warning(text)), None, &|_| {}));
    }

    /// Answers calls until nobody is left who could make one.
    pub(super) fn serve(self, listener: OwnedFd) {
        let listener = Listener::new(listener);
        let desk = Arc::new(Desk { supervisor: self, listener, crew: Crew::default() });
        if desk.supervisor.sockets.kept.is_some() {
            let keeper = desk.clone();
            let keep = move || keeper.supervisor.sockets.kept.as_ref().map(Kept::watch);
            drop(thread::Builder::new().stack_size(STACK).spawn(keep));
        }
        let (watched, filler, looked) = (desk.clone(), desk.clone(), desk.clone());
        drop(thread::Builder::new().stack_size(STACK).spawn(move || watched.supervisor.guests.watch()));
        let fill = move || filler.supervisor.sockets.stock.fill(&filler.supervisor.link);
        drop(thread::Builder::new().stack_size(STACK).spawn(fill));
        let look = move || looked.supervisor.lookout.watch(&looked.listener);
        drop(thread::Builder::new().stack_size(STACK).spawn(look));
        desk.engage();
        // The kernel hangs up when the last guest is gone; before that nothing is asked for.
        loop {
            let mut asked = [PollFd::from_borrowed_fd(desk.listener.as_fd(), PollFlags::empty())];
            let polled = rustix::event::poll(&mut asked, Some(&LOOK_TIME));
            if polled.is_ok() && asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
                return;
            }
            if desk.crew.look() {
                desk.engage();
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
    if rustix::fs::fstat(&ports)?.st_size < SHARED.cast_signed() as i64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (protection, flags) = (rustix::mm::ProtFlags::READ, rustix::mm::MapFlags::SHARED);
    // SAFETY: a fresh mapping replaces nothing; the proxy has sealed its size.
    let page = unsafe { rustix::mm::mmap(std::ptr::null_mut(), SHARED, protection, flags, &ports, 0) }?;
    let page = std::ptr::NonNull::new(page).ok_or(io::ErrorKind::InvalidData)?;
    Ok((handoff, Page(page.cast())))
}

/// A supervisor at work.
struct Desk {
    supervisor: Supervisor,
    listener: Listener,
    crew: Crew,
}

impl Desk {
    /// Somebody is to wait for the next call. Without a worker it waits until another is free.
    fn engage(self: &Arc<Self>) {
        if self.crew.call() == Need::Nobody {
            return;
        }
        let desk = self.clone();
        let started = thread::Builder::new().stack_size(STACK).spawn(move || desk.work());
        if started.is_err() {
            self.crew.record_failed();
        }
    }

    /// Takes calls, one at a time, until there are workers enough without this one.
    fn work(self: &Arc<Self>) {
        let engage = || self.engage();
        loop {
            let call = match self.listener.receive() {
                Ok(Some(call)) => call,
                Ok(None) => continue,
                Err(_) => return,
            };
            let turn = Turn::new(call.id, &self.crew, self.listener.as_fd(), &engage);
            self.answer(&call, &turn);
            if !turn.end() && !self.crew.rest() {
                return;
            }
        }
    }

    /// Whatever happens, the guest is answered.
    fn answer(&self, call: &Call, turn: &Turn<'_>) {
        let answer = catch_unwind(AssertUnwindSafe(|| self.decide(call, turn)));
        // Nobody waits any more: the guest was ended.
        let _ = self.listener.answer(call, answer.unwrap_or(Answer::Continue));
    }

    fn decide(&self, call: &Call, turn: &Turn<'_>) -> Answer {
        let Some(guest) = self.supervisor.guests.of(call.thread) else { return Answer::Continue };
        let program = guest.program(call.thread, &self.supervisor.rules);
        let (supervisor, listener) = (&self.supervisor, &self.listener);
        Caller { supervisor, listener, call, turn, guest: &guest, program }.decide()
    }
}
