//! Who waits for the next call: one worker, and another one only where that one may be kept.
//!
//! The kernel wakes everybody who waits for calls, for each of them, and wakes a guest and its answerer on one
//! processor, where both find what they need. So one waits, and goes on being the one who does: it answers by itself
//! what needs nobody else, and hands its turn over before a call that may keep it. Where it only has to ask, it hands
//! over when another call comes meanwhile; if that has happened lately, it does not wait to see.
//!
//! What keeps a worker although nobody thought so is seen by [`Crew::look`].

use std::{
    os::fd::BorrowedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// Workers that are kept for ever although none is needed.
const N_IDLE: usize = 4;

/// How long the others are.
const SPARE_TIME: Duration = Duration::from_secs(5);

/// The most workers: so many calls may block at once.
const N_WORKERS: usize = 4096;

/// For how long after calls have overlapped others are expected to.
const BUSY_TIME: Duration = Duration::from_millis(10);

/// How long an answer may take that is waited for here; whoever reads it knows how long it may take then.
const PATIENCE: Duration = Duration::from_secs(60);

/// The workers.
#[derive(Debug)]
pub(super) struct Crew {
    state: Mutex<State>,
    /// The call whose answerer has the turn; 0 while somebody waits for the next one, or is on the way.
    holder: AtomicU64,
    /// Who had it when that was last looked at.
    seen: AtomicU64,
    begun: Instant,
    /// When calls have overlapped, in milliseconds since it began.
    overlapped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    n_workers: usize,
    idle: Vec<Arc<Seat>>,
    /// Nobody waits for the next call: whoever is free first does.
    is_unwatched: bool,
}

/// Where an idle worker waits to be called.
#[derive(Debug)]
struct Seat {
    thread: Thread,
    is_called: AtomicBool,
}

/// What is needed for the next call to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: somebody is on the way.
    Nobody,
    /// A fresh worker.
    Worker,
}

impl Default for Crew {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            holder: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            begun: Instant::now(),
            overlapped: AtomicU64::new(0),
        }
    }
}

impl Crew {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else is to wait for the next call: who has been idle for the shortest time.
    pub(super) fn call(&self) -> Need {
        let mut state = self.state();
        if let Some(seat) = state.idle.pop() {
            drop(state);
            seat.is_called.store(true, Ordering::Release);
            seat.thread.unpark();
            return Need::Nobody;
        }
        if state.n_workers >= N_WORKERS {
            state.is_unwatched = true;
            return Need::Nobody;
        }
        state.n_workers += 1;
        Need::Worker
    }

    /// The fresh worker could not be had.
    pub(super) fn record_failed(&self) {
        let mut state = self.state();
        state.n_workers -= 1;
        state.is_unwatched = true;
    }

    /// A worker is free, and somebody else waits for the next call. Comes back when this one is to wait for it; says no
    /// if it is not needed any more.
    pub(super) fn rest(&self) -> bool {
        let seat = Arc::new(Seat { thread: thread::current(), is_called: AtomicBool::new(false) });
        let mut state = self.state();
        if std::mem::take(&mut state.is_unwatched) {
            return true;
        }
        state.idle.push(seat.clone());
        drop(state);
        let since = Instant::now();
        while !seat.is_called.load(Ordering::Acquire) {
            thread::park_timeout(SPARE_TIME);
            if since.elapsed() >= SPARE_TIME && self.leave(&seat) {
                return false;
            }
        }
        true
    }

    /// Whether an idle worker may go: there are enough without it, and nobody has called it.
    fn leave(&self, seat: &Arc<Seat>) -> bool {
        let mut state = self.state();
        let place = state.idle.iter().position(|it| Arc::ptr_eq(it, seat));
        match place {
            Some(place) if state.idle.len() > N_IDLE => {
                state.idle.remove(place);
                state.n_workers -= 1;
                true
            }
            _ => false,
        }
    }

    /// Looks whether the turn has been held by the same call since the last look, and takes it away then, or could not
    /// be had by anybody: says whether somebody is to wait.
    pub(super) fn look(&self) -> bool {
        if std::mem::take(&mut self.state().is_unwatched) {
            return true;
        }
        let holder = self.holder.load(Ordering::Acquire);
        let is_kept = holder != 0 && self.seen.swap(holder, Ordering::Relaxed) == holder;
        is_kept && self.take_away(holder)
    }

    fn take_away(&self, call: u64) -> bool {
        self.holder.compare_exchange(call, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn record_overlap(&self) {
        // The first millisecond counts as the second: 0 is never.
        self.overlapped.store(self.now().max(1), Ordering::Relaxed);
    }

    fn is_busy(&self) -> bool {
        let last = self.overlapped.load(Ordering::Relaxed);
        last != 0 && u128::from(self.now().saturating_sub(last)) < BUSY_TIME.as_millis()
    }
}

/// The turn of a worker who has taken a call: until it is handed over, nobody waits for the next one.
pub(super) struct Turn<'a> {
    call: u64,
    crew: &'a Crew,
    /// Has somebody else wait.
    engage: &'a dyn Fn(),
    /// Where calls come from.
    listener: BorrowedFd<'a>,
}

impl<'a> Turn<'a> {
    /// A turn that begins with a call, which the kernel numbers.
    pub(super) fn new(call: u64, crew: &'a Crew, listener: BorrowedFd<'a>, engage: &'a dyn Fn()) -> Self {
        // No call is nobody's.
        let call = call.max(1);
        crew.holder.store(call, Ordering::Release);
        Self { call, crew, engage, listener }
    }

    /// This call may keep its worker.
    pub(super) fn hand_over(&self) {
        if self.crew.take_away(self.call) {
            (self.engage)();
        }
    }

    /// Ends: says whether it was never handed over.
    pub(super) fn end(self) -> bool {
        self.crew.take_away(self.call)
    }

    fn is_held(&self) -> bool {
        self.crew.holder.load(Ordering::Relaxed) == self.call
    }

    /// Waits until there is something to read, or another call has come, which hands the turn over.
    pub(super) fn wait_for(&self, answer: BorrowedFd<'_>) {
        if !self.is_held() {
            return;
        }
        if self.crew.is_busy() {
            self.hand_over();
            return;
        }
        let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        let mut asked = [PollFd::new(&answer, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut asked, Some(&limit)) {}
        if asked[1].revents().contains(PollFlags::IN) {
            self.crew.record_overlap();
            if asked[0].revents().is_empty() {
                self.hand_over();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        io::{Read, Write},
        os::{fd::AsFd, unix::net::UnixStream},
    };

    use super::*;

    #[test]
    fn an_idle_worker_is_called_before_a_fresh_one_is_needed() {
        let crew = Crew::default();
        assert_eq!(crew.call(), Need::Worker);
        thread::scope(|scope| {
            let idle = scope.spawn(|| crew.rest());
            while crew.state().idle.is_empty() {
                thread::yield_now();
            }
            assert_eq!(crew.call(), Need::Nobody);
            assert!(idle.join().unwrap());
        });
        assert_eq!(crew.call(), Need::Worker);
    }

    #[test]
    fn whoever_is_free_takes_the_turn_that_nobody_could_take() {
        let crew = Crew::default();
        assert_eq!(crew.call(), Need::Worker);
        crew.record_failed();
        assert!(crew.rest(), "nobody waits for the next call");
        assert_eq!(crew.call(), Need::Worker);
        crew.record_failed();
        assert!(crew.look() && !crew.look(), "nor is anybody free");
    }

    #[test]
    fn a_turn_is_handed_over_once_and_only_where_another_call_has_come() {
        let (listener, caller) = UnixStream::pair().unwrap();
        let (answer, agent) = UnixStream::pair().unwrap();
        let (crew, n_times) = (Crew::default(), Cell::new(0));
        let count = || n_times.set(n_times.get() + 1);
        let turn = Turn::new(7, &crew, listener.as_fd(), &count);
        (&agent).write_all(b"x").unwrap();
        turn.wait_for(answer.as_fd());
        assert!(turn.is_held());
        (&answer).read_exact(&mut [0]).unwrap();
        (&caller).write_all(b"x").unwrap();
        turn.wait_for(answer.as_fd());
        turn.hand_over();
        assert!(!turn.end() && n_times.get() == 1);
    }

    #[test]
    fn where_calls_overlap_a_turn_is_handed_over_before_it_is_waited() {
        let (listener, _caller) = UnixStream::pair().unwrap();
        let (answer, _agent) = UnixStream::pair().unwrap();
        let (crew, n_times) = (Crew::default(), Cell::new(0));
        let count = || n_times.set(n_times.get() + 1);
        crew.record_overlap();
        Turn::new(7, &crew, listener.as_fd(), &count).wait_for(answer.as_fd());
        assert_eq!(n_times.get(), 1);
    }

    #[test]
    fn a_turn_that_lasts_is_taken_away_and_a_later_one_is_not() {
        let (listener, _caller) = UnixStream::pair().unwrap();
        let crew = Crew::default();
        let nobody = || unreachable!("the turn was taken away");
        let first = Turn::new(7, &crew, listener.as_fd(), &nobody);
        assert!(!crew.look() && crew.look() && !crew.look());
        first.hand_over();
        assert!(!first.end());
        let second = Turn::new(8, &crew, listener.as_fd(), &nobody);
        assert!(!crew.look());
        assert!(second.end());
        assert!(!crew.look());
    }
}
