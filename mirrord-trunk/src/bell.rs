//! Wakes a task, and tells it how to go on.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tokio::sync::Notify;

/// Wakes a task, and tells it to stop.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    pub(crate) notify: Notify,
    state: AtomicU8,
}

/// What a task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Carry,
    /// Finish what was begun.
    Finish,
    /// Let go at once.
    Drop,
}

impl Bell {
    pub(crate) fn order(&self) -> Order {
        match self.state.load(Relaxed) {
            0 => Order::Carry,
            1 => Order::Finish,
            _ => Order::Drop,
        }
    }

    pub(crate) fn ring(&self, order: Order) {
        self.state.fetch_max(order as u8, Relaxed);
        self.notify.notify_one();
    }

    /// Waits for the order to let go.
    pub(crate) async fn dropped(&self) {
        while self.order() != Order::Drop {
            self.notify.notified().await;
        }
    }
}
