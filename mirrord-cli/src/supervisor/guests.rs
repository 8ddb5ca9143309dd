//! The processes that are supervised: which one a thread belongs to, what program it runs, when it ends.
//!
//! A process is known by its folder of `/proc`, held open: the kernel ties it to this very process, so that a number
//! that is used again is another one.

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use mirrord_core::rules::Rules;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags, openat},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// How long a program may take to begin after its `execve(2)` was let through.
const BEGINNING: Duration = Duration::from_millis(500);

/// The longest file of `/proc` that is believed.
const MOST: usize = 1 << 20;

/// A process.
#[derive(Debug)]
pub(super) struct Guest {
    /// Its number.
    pub(super) pid: i32,
    folder: OwnedFd,
    process: OwnedFd,
    program: RwLock<Arc<Program>>,
    /// Its program may become another one.
    begins: Mutex<Option<Beginning>>,
    /// A connection to the proxy that ends with it: the proxy then looks after its listeners.
    presence: Mutex<Option<OwnedFd>>,
    mounts: Mutex<HashMap<u64, bool>>,
}

/// An `execve(2)` that was let through.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    /// Whose it is.
    thread: i32,
    /// When it has surely become another program, or failed to.
    until: Instant,
}

/// What a process runs.
#[derive(Debug)]
pub(super) struct Program {
    /// Its file.
    pub(super) executable: Vec<u8>,
    /// Whether it is left alone.
    pub(super) is_skipped: bool,
    /// What it may do.
    pub(super) rules: Arc<Rules>,
}

impl Guest {
    fn new(pid: i32, rules: &Arc<Rules>) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let program = RwLock::new(Arc::new(Program::of(folder.as_fd(), rules)));
        Some(Self {
            pid,
            folder,
            process,
            program,
            begins: Mutex::default(),
            presence: Mutex::default(),
            mounts: Mutex::default(),
        })
    }

    /// Whether a thread is one of this process's, now.
    fn has(&self, thread: i32) -> bool {
        if has_ended(self) {
            return false;
        }
        // Its first thread's number is its own, until the last one is gone.
        if thread == self.pid {
            return true;
        }
        // Of any other the kernel says whether it is of that process, as it does before a signal is sent.
        // SAFETY: the call takes numbers, and signal 0 is none.
        let told = unsafe { libc::syscall(libc::SYS_tgkill, self.pid, thread, 0) };
        told == 0 || nix::errno::Errno::last_raw() != libc::ESRCH
    }

    /// What it runs, as a thread of it makes a call.
    pub(super) fn program(&self, thread: i32, rules: &Arc<Rules>) -> Arc<Program> {
        let mut begins = lock(&self.begins);
        if let Some(beginning) = *begins {
            // A thread that makes another call is done with the one before.
            if beginning.thread == thread || beginning.until < Instant::now() {
                *begins = None;
            }
            let fresh = Arc::new(Program::of(self.folder.as_fd(), rules));
            *self.program.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
            return fresh;
        }
        drop(begins);
        self.program.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An `execve(2)` is let through: soon its program may be another one.
    pub(super) fn record_beginning(&self, thread: i32) {
        *lock(&self.begins) = Some(Beginning { thread, until: Instant::now() + BEGINNING });
    }

    /// Whether its program may become another one about now.
    pub(super) fn is_beginning(&self) -> bool {
        lock(&self.begins).is_some_and(|beginning| Instant::now() < beginning.until)
    }

    /// Whether it is dead, if not buried.
    pub(super) fn has_ended(&self) -> bool {
        has_ended(self)
    }

    /// Its descriptor of the process.
    pub(super) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// A file of its folder of `/proc`.
    pub(super) fn file(&self, name: &str) -> Option<Vec<u8>> {
        read(self.folder.as_fd(), name)
    }

    /// A connection of the proxy's that ends with the process.
    pub(super) fn presence(&self, make: impl FnOnce() -> Option<OwnedFd>) {
        let mut presence = lock(&self.presence);
        if presence.is_none() {
            *presence = make();
        }
    }

    /// Whether a mount is none of this process's own. The kernel's numbers are rarely used again.
    pub(super) fn is_foreign(&self, mount: u64) -> bool {
        let mut mounts = lock(&self.mounts);
        if let Some(known) = mounts.get(&mount) {
            return *known;
        }
        // A process whose mounts cannot be read gives no reason to believe that one is not its own.
        let is_foreign = self.file("mountinfo").is_some_and(|list| {
            let number = format!("{mount} ");
            !list.split(|byte| *byte == b'\n').any(|line| line.starts_with(number.as_bytes()))
        });
        mounts.insert(mount, is_foreign);
        is_foreign
    }
}

impl Program {
    fn of(folder: BorrowedFd<'_>, rules: &Arc<Rules>) -> Self {
        let executable = rustix::fs::readlinkat(folder, "exe", Vec::new()).map(std::ffi::CString::into_bytes);
        let executable = executable.unwrap_or_default();
        let line = read(folder, "cmdline").unwrap_or_default();
        let called = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = |path: &[u8]| {
            let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            String::from_utf8_lossy(last).into_owned()
        };
        let is_skipped = rules.process.skips(&name(&executable), &name(called));
        let mut rules = rules.clone();
        if rules.outgoing.suits_next {
            Arc::make_mut(&mut rules).outgoing.suit(line.split(|byte| *byte == 0));
        }
        Self { executable, is_skipped, rules }
    }
}

fn read(folder: BorrowedFd<'_>, name: &str) -> Option<Vec<u8>> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = Vec::with_capacity(4096);
    while text.len() < MOST {
        text.reserve(4096);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => return Some(text),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(text)
}

/// All of them.
#[derive(Debug)]
pub(super) struct Guests {
    rules: Arc<Rules>,
    known: Mutex<Known>,
    ends: Epoll,
}

#[derive(Debug, Default)]
struct Known {
    by_pid: HashMap<i32, Arc<Guest>>,
    by_thread: HashMap<i32, Arc<Guest>>,
    /// How many of them lived when that was last looked at.
    n_living: usize,
}

impl Known {
    /// Notes whose a thread is. Nobody tells when one ends, so those that have are forgotten whenever their number may
    /// have doubled.
    fn record_thread(&mut self, thread: i32, guest: &Arc<Guest>) {
        const FEW: usize = 256;
        if self.by_thread.len() >= self.n_living.max(FEW) * 2 {
            self.by_thread.retain(|thread, guest| guest.has(*thread));
            self.n_living = self.by_thread.len();
        }
        self.by_thread.insert(thread, guest.clone());
    }
}

impl Guests {
    pub(super) fn new(rules: Arc<Rules>) -> nix::Result<Self> {
        let ends = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { rules, known: Mutex::default(), ends })
    }

    /// The process of a thread that waits for an answer. Whoever asks checks afterwards that it still waits.
    pub(super) fn of(&self, thread: i32) -> Option<Arc<Guest>> {
        let known = lock(&self.known).by_thread.get(&thread).cloned();
        if let Some(guest) = known.filter(|guest| guest.has(thread)) {
            return Some(guest);
        }
        let pid = process_of(thread)?;
        let known = lock(&self.known).by_pid.get(&pid).cloned();
        let guest = match known.filter(|guest| guest.has(thread)) {
            Some(guest) => guest,
            None => self.meet(pid)?,
        };
        lock(&self.known).record_thread(thread, &guest);
        Some(guest)
    }

    fn meet(&self, pid: i32) -> Option<Arc<Guest>> {
        let guest = Arc::new(Guest::new(pid, &self.rules)?);
        lock(&self.known).by_pid.insert(pid, guest.clone());
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(pid.cast_unsigned()));
        let _ = self.ends.add(&guest.process, event);
        Some(guest)
    }

    /// Forgets those that end, for ever.
    pub(super) fn watch(&self) {
        let mut events = [EpollEvent::empty(); 16];
        loop {
            let n_ended = self.ends.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
            for event in &events[..n_ended] {
                let pid = i32::try_from(event.data()).unwrap_or(0);
                let mut known = lock(&self.known);
                // Another one may have taken its number already.
                known.by_thread.retain(|_, guest| guest.pid != pid || !has_ended(guest));
                let ended = match known.by_pid.get(&pid) {
                    Some(guest) if has_ended(guest) => known.by_pid.remove(&pid),
                    _ => None,
                };
                drop(known);
                if let Some(guest) = ended {
                    let _ = self.ends.delete(&guest.process);
                    // Workers that still hold it must not keep its presence.
                    *lock(&guest.presence) = None;
                }
            }
        }
    }
}

/// Whether the process is dead, if not buried.
fn has_ended(guest: &Guest) -> bool {
    let mut asked = [PollFd::new(&guest.process, PollFlags::IN)];
    rustix::event::poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
        .is_ok_and(|n_ready| n_ready > 0)
}

/// The process that a thread belongs to (`proc_pid_status(5)`).
fn process_of(thread: i32) -> Option<i32> {
    field(&status(thread)?, "Tgid:")?.parse().ok()
}

/// What the kernel says of a thread.
pub(super) fn status(thread: i32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{thread}/status")).ok()
}

/// A line of it, behind its name.
pub(super) fn field<'status>(status: &'status str, name: &str) -> Option<&'status str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
