//! Watches who is still there: the clock and the process descriptors behind [`Lifetime`].

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mirrord_core::proxy::lifetime::{End, Lifetime};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{io::unix::AsyncFd, sync::Notify};

use super::{kin, rights};

/// How soon it is looked again whether anybody is left: at first, and at most.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(500)];

/// How long a guest may take to end once it is asked to.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Who is still there.
pub(crate) struct Watch {
    since: Instant,
    /// Where layers come.
    address: String,
    lifetime: Mutex<Lifetime>,
    guest_pid: Option<i32>,
    processes: Mutex<BTreeMap<i32, Member>>,
    guest: Option<AsyncFd<OwnedFd>>,
    changed: Notify,
}

/// A process whose layer is connected.
struct Member {
    n_connections: usize,
    /// Itself, whoever gets its number later; none if it was gone before it could be had.
    process: Option<OwnedFd>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Watches the guest's main process, if that is known.
    pub(crate) fn new(
        guest_pid: Option<i32>,
        start_idle: Duration,
        idle: Duration,
        address: &str,
    ) -> io::Result<Self> {
        let mut lifetime = Lifetime::new(start_idle, idle, guest_pid.is_some());
        let guest = guest_pid.and_then(Pid::from_raw);
        let guest = match guest.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            Some(Ok(pidfd)) => Some(rights::watch(pidfd)?),
            Some(Err(_)) => {
                lifetime.handle_guest_gone(Duration::ZERO);
                None
            }
            None => None,
        };
        Ok(Self {
            since: Instant::now(),
            address: address.to_owned(),
            lifetime: Mutex::new(lifetime),
            guest_pid,
            processes: Mutex::default(),
            guest,
            changed: Notify::new(),
        })
    }

    fn lifetime(&self) -> MutexGuard<'_, Lifetime> {
        lock(&self.lifetime)
    }

    /// A layer has connected; tells whether it is the first of its process.
    pub(crate) fn record_connected(&self, pid: i32) -> bool {
        let open = || Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let mut processes = lock(&self.processes);
        let member = processes.entry(pid).or_insert_with(|| Member { n_connections: 0, process: open() });
        member.n_connections += 1;
        let is_first = member.n_connections == 1;
        drop(processes);
        self.lifetime().handle_connected(pid);
        self.changed.notify_one();
        is_first
    }

    /// A layer's connection is gone; tells whether it was the last of its process.
    pub(crate) fn record_disconnected(&self, pid: i32) -> bool {
        let mut processes = lock(&self.processes);
        let mut was_last = false;
        if let Some(member) = processes.get_mut(&pid) {
            member.n_connections -= 1;
            if member.n_connections == 0 {
                processes.remove(&pid);
                was_last = true;
            }
        }
        drop(processes);
        self.lifetime().handle_disconnected(self.since.elapsed());
        self.changed.notify_one();
        was_last
    }

    /// The guest's processes: the main one first, then those whose layers are connected. Some may have ended.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let members = lock(&self.processes);
        let others = members.keys().copied().filter(|pid| Some(*pid) != self.guest_pid);
        self.guest_pid.into_iter().chain(others).collect()
    }

    /// Ends the session: its processes are asked to end (SIGTERM), and then no longer waited for than is decent.
    pub(crate) fn stop(&self) {
        let members = lock(&self.processes);
        let main = self.guest.as_ref().map(AsyncFd::get_ref);
        // The main one only once, so that it does not take the second time for haste.
        let others = members.iter().filter(|(pid, _)| main.is_none() || Some(**pid) != self.guest_pid);
        for process in others.filter_map(|(_, member)| member.process.as_ref()).chain(main) {
            if let Err(error) = pidfd_send_signal(process, Signal::TERM) {
                tracing::debug!(%error, "a process has ended before it was asked to");
            }
        }
        drop(members);
        self.lifetime().handle_stop(self.since.elapsed(), LAST_WORK);
        self.changed.notify_one();
    }

    /// Waits until nobody needs the session any more.
    pub(crate) async fn end(&self) -> End {
        let mut guest_lives = self.guest.is_some();
        loop {
            let now = self.since.elapsed();
            if let Some(end) = self.lifetime().decide_end(now) {
                return end;
            }
            let awaits_kin = self.lifetime().awaits_kin();
            let deadline = self.lifetime().deadline().map_or(Duration::MAX, |(deadline, _)| deadline);
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(deadline.saturating_sub(now)) => {}
                () = self.deserted(), if awaits_kin => self.lifetime().handle_deserted(),
                () = guest_gone(self.guest.as_ref()), if guest_lives => {
                    guest_lives = false;
                    self.lifetime().handle_guest_gone(self.since.elapsed());
                }
            }
        }
    }
}

impl Watch {
    /// Waits until no process is left that could still come. It is looked for twice: whoever forks while one looks may
    /// have been passed by.
    async fn deserted(&self) {
        let [mut pause, longest] = LOOK_AGAIN;
        let mut was_empty = false;
        loop {
            tokio::time::sleep(pause).await;
            let address = self.address.clone();
            let looked = tokio::task::spawn_blocking(move || kin::is_left(&address)).await;
            // Whoever cannot look believes that there is somebody.
            let is_empty = matches!(looked, Ok(Ok(false)));
            if is_empty && was_empty {
                return;
            }
            was_empty = is_empty;
            pause = if is_empty { LOOK_AGAIN[0] } else { (pause * 2).min(longest) };
        }
    }
}

async fn guest_gone(guest: Option<&AsyncFd<OwnedFd>>) {
    match guest {
        Some(guest) => drop(guest.readable().await),
        None => std::future::pending().await,
    }
}
