//! Whether those still wait for whom a call that blocks is waited: one thread looks, for all of them.
//!
//! The kernel tells nobody that a signal has come for a thread whose call is being answered: such a thread sleeps on.
//! So a worker waits for readiness alone, in a set of `epoll(7)` of its own, and this thread looks after the guests. What
//! the kernel counts of a user's signals that wait (`SigQ`) says by one look at a process that none has come for any of
//! its threads. Each of them is looked at when it begins to wait, when the count has changed, when the process becomes
//! another program, and from time to time; the more there are, the less often.

use std::{
    collections::HashMap,
    os::fd::BorrowedFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mirrord_core::verdict::Errno;
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
};

use super::{
    caller::{Caller, Outcome},
    guests::{self, Guest},
    notify::{Call, Listener},
};

/// How often it is looked, and how often at each thread, at least so long apart.
const LOOK_TIME: Duration = Duration::from_millis(20);
const CLOSE_LOOK_TIME: Duration = Duration::from_secs(1);

/// So many times as long as a look has taken, none follows; and so many times, if there may be something to see.
const REST: u32 = 200;
const SHORT_REST: u32 = 50;

/// What is in a set: what is waited for, and what ends the wait.
const WANTED: u64 = 0;
const BELL: u64 = 1;

/// How a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is something.
    Ready,
    /// The guest has a signal, or is gone.
    Interrupted,
    /// It has waited as long as it wanted to.
    TimedOut,
}

/// Somebody who waits.
#[derive(Debug)]
struct Seat {
    guest: Arc<Guest>,
    call: Call,
    own: Epoll,
    /// It was looked at since it began to wait.
    is_known: AtomicBool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Lookout {
    seats: Mutex<Seats>,
    first: Condvar,
    /// What is always ready: put into a set, it ends the wait there.
    bell: EventFd,
}

#[derive(Debug, Default)]
struct Seats {
    all: Vec<Arc<Seat>>,
    is_watched: bool,
}

/// What is known of a process.
struct Looked {
    n_queued: Option<u64>,
    closely: Instant,
}

impl Lookout {
    pub(super) fn new() -> nix::Result<Self> {
        let bell = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { seats: Mutex::default(), first: Condvar::new(), bell })
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats();
        seats.all.push(seat.clone());
        if !seats.is_watched {
            self.first.notify_one();
        }
    }

    fn leave(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats();
        if let Some(place) = seats.all.iter().position(|it| Arc::ptr_eq(it, seat)) {
            seats.all.swap_remove(place);
        }
    }

    /// Looks after all who wait, for ever.
    pub(super) fn watch(&self, listener: &Listener) {
        let mut known = HashMap::new();
        let (mut rest, mut cost) = (LOOK_TIME, Duration::ZERO);
        loop {
            let mut seats = self.seats();
            seats.is_watched = false;
            while seats.all.is_empty() {
                seats = self.first.wait(seats).unwrap_or_else(PoisonError::into_inner);
            }
            seats.is_watched = true;
            drop(seats);
            // Most are gone again by then, and need no look.
            thread::sleep(rest);
            let seats = self.seats().all.clone();
            let begun = Instant::now();
            let n_close = self.look(listener, &seats, &mut known, cost);
            let spent = begun.elapsed();
            // A close look at many is long, and not what the next one will be.
            if n_close == seats.len() {
                cost = spent;
            } else {
                rest = LOOK_TIME.max(spent * REST).min(CLOSE_LOOK_TIME);
            }
        }
    }

    /// Looks at those who wait: tells how many of them it has looked at closely.
    fn look(
        &self,
        listener: &Listener,
        seats: &[Arc<Seat>],
        known: &mut HashMap<i32, Looked>,
        cost: Duration,
    ) -> usize {
        let mut closely = HashMap::new();
        let mut n_close = 0;
        for seat in seats {
            let pid = seat.guest.pid;
            let is_due = *closely.entry(pid).or_insert_with(|| is_due(&seat.guest, known, cost));
            if is_due || !seat.is_known.swap(true, Ordering::Relaxed) {
                n_close += 1;
                if listener.check(&seat.call).is_err() || has_signal(&seat.call, &seat.guest) {
                    self.end(seat);
                }
            }
        }
        known.retain(|pid, _| closely.contains_key(pid));
        n_close
    }

    fn end(&self, seat: &Seat) {
        // It is there already if it was told so before.
        let _ = seat.own.add(&self.bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL));
    }
}

/// Whether a process is to be looked at thread by thread, which cost so much the last time.
fn is_due(guest: &Guest, known: &mut HashMap<i32, Looked>, cost: Duration) -> bool {
    let status = guest.file("status").and_then(|status| String::from_utf8(status).ok());
    let n_queued = status.as_deref().and_then(|status| {
        let (queued, _) = guests::field(status, "SigQ:")?.split_once('/')?;
        queued.parse::<u64>().ok()
    });
    let now = Instant::now();
    let is_quiet = |looked: &Looked| {
        let is_same = n_queued.is_some() && looked.n_queued == n_queued && !guest.is_beginning();
        let rest = if is_same { CLOSE_LOOK_TIME.max(cost * REST) } else { cost * SHORT_REST };
        now.duration_since(looked.closely) < rest
    };
    if known.get(&guest.pid).is_some_and(is_quiet) && !guest.has_ended() {
        return false;
    }
    known.insert(guest.pid, Looked { n_queued, closely: now });
    true
}

/// Whether a signal waits for a thread, that it would run a handler for or end by.
pub(super) fn has_signal(call: &Call, guest: &Guest) -> bool {
    let Some(status) = guests::status(call.thread) else { return true };
    let set = |name| {
        guests::field(&status, name).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
    };
    // One for the whole process goes to its first thread, if that one takes it.
    let shared = if call.thread == guest.pid { set("ShdPnd:") } else { 0 };
    (set("SigPnd:") | shared) & !set("SigBlk:") & !set("SigIgn:") != 0
}

impl Caller<'_> {
    /// Waits until there is something to read, as long as the guest does and no longer than it wants to. Of several who
    /// wait for the same, one hears of it.
    pub(super) fn wait_for(&self, descriptor: BorrowedFd<'_>, limit: Option<Duration>) -> Outcome<Ended> {
        let scarce = |_| Errno(libc::ENFILE);
        let own = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(scarce)?;
        let wanted = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, WANTED);
        own.add(descriptor, wanted).map_err(scarce)?;
        let seat = Arc::new(Seat {
            guest: self.guest.clone(),
            call: *self.call,
            own,
            is_known: AtomicBool::new(false),
        });
        let lookout = &self.supervisor.lookout;
        lookout.enter(&seat);
        let ended = wait(&seat, limit);
        lookout.leave(&seat);
        Ok(ended)
    }
}

fn wait(seat: &Seat, limit: Option<Duration>) -> Ended {
    let begun = Instant::now();
    let mut events = [EpollEvent::empty(); 2];
    loop {
        let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
        // What is less than the clock's tick is waited for, too.
        let left = left.map(|left| left.as_millis().saturating_add(u128::from(!left.is_zero())));
        let left = left.map_or(EpollTimeout::NONE, |left| {
            EpollTimeout::try_from(left).unwrap_or(EpollTimeout::from(u16::MAX))
        });
        let n_ready = seat.own.wait(&mut events, left).unwrap_or(0);
        // Whoever was told that there is something takes it: nobody else was told.
        if events[..n_ready].iter().any(|event| event.data() == WANTED) {
            return Ended::Ready;
        } else if n_ready > 0 {
            return Ended::Interrupted;
        } else if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            return Ended::TimedOut;
        }
    }
}
