//! Tells a trunk the time, and whether the machine has slept.

use std::{sync::Arc, time::Duration};

use mirrord_core::trunk::Trunk;
use rustix::time::ClockId;

use crate::carrier::Carrier;

/// A machine that has slept for longer doubts its strands.
const NAP: Duration = Duration::from_secs(2);

/// Tells the state machine the time whenever it wants to know, until the trunk is over.
pub(crate) async fn keep(carrier: Arc<Carrier>) {
    let mut slept = asleep();
    loop {
        let sooner = carrier.sooner.notified();
        let Some(deadline) = carrier.deadline() else { return };
        if tokio::time::timeout_at(deadline.into(), sooner).await.is_ok() {
            continue;
        }
        let before = std::mem::replace(&mut slept, asleep());
        if slept.saturating_sub(before) > NAP {
            carrier.with(Trunk::doubt);
        }
        carrier.with(Trunk::tick);
    }
}

/// How long this machine has slept since it was started.
fn asleep() -> Duration {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
}
