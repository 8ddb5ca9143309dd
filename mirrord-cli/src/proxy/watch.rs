//! Watches who is still there: the clock and the process descriptor behind [`Lifetime`].

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mirrord_core::proxy::lifetime::{End, Lifetime};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{io::unix::AsyncFd, sync::Notify};

use super::rights;

/// Who is still there.
pub(crate) struct Watch {
    since: Instant,
    lifetime: Mutex<Lifetime>,
    guest: Option<AsyncFd<OwnedFd>>,
    changed: Notify,
}

impl Watch {
    /// Watches the guest's main process, if that is known.
    pub(crate) fn new(guest_pid: Option<i32>, start_idle: Duration, idle: Duration) -> io::Result<Self> {
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
        Ok(Self { since: Instant::now(), lifetime: Mutex::new(lifetime), guest, changed: Notify::new() })
    }

    fn lifetime(&self) -> MutexGuard<'_, Lifetime> {
        self.lifetime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer has connected.
    pub(crate) fn record_connected(&self, pid: i32) {
        self.lifetime().handle_connected(pid);
        self.changed.notify_one();
    }

    /// A layer's connection is gone.
    pub(crate) fn record_disconnected(&self) {
        self.lifetime().handle_disconnected(self.since.elapsed());
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
            let deadline = self.lifetime().deadline().map_or(Duration::MAX, |(deadline, _)| deadline);
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(deadline.saturating_sub(now)) => {}
                () = guest_gone(self.guest.as_ref()), if guest_lives => {
                    guest_lives = false;
                    self.lifetime().handle_guest_gone(self.since.elapsed());
                }
            }
        }
    }
}

async fn guest_gone(guest: Option<&AsyncFd<OwnedFd>>) {
    match guest {
        Some(guest) => drop(guest.readable().await),
        None => std::future::pending().await,
    }
}
