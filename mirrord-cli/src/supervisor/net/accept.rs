//! `accept(2)`: done by us where a connection may be somebody else's, who is told.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libc::c_int;
use mirrord_core::{rules::address::Protocol, verdict::Errno};
use mirrord_guest::{arrive, sockaddr::Encoded, socket::Socket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Held, address};
use crate::supervisor::{
    caller::{Caller, Outcome},
    lookout::Ended,
    notify::Answer,
};

pub(super) fn accept(caller: &Caller<'_>, flags: c_int) -> Option<Answer> {
    caller.program.rules.incoming.wish?;
    if flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        return None;
    }
    let held = Held::of(caller, caller.int(0))?;
    let listener = held.socket();
    let is_listening = listener.tcp_state() == Ok(mirrord_guest::socket::LISTENING);
    if listener.transport()? != Protocol::Tcp || !is_listening {
        return None;
    }
    loop {
        if !listener.is_nonblocking() {
            match wait(caller, &held.0, listener) {
                Ok(true) => {}
                Ok(false) => return Some(Answer::Interrupted),
                Err(errno) => return Some(Answer::Failed(errno)),
            }
        }
        // What has been taken cannot be put back.
        if let Err(errno) = caller.find_room() {
            return Some(Answer::Failed(errno));
        }
        let mut peer = Encoded::empty();
        let accepted = match take(&held, &mut peer, flags) {
            Ok(accepted) => accepted,
            // Somebody else was quicker.
            Err(Errno(libc::EAGAIN)) if !listener.is_nonblocking() => continue,
            Err(errno) => return Some(Answer::Failed(errno)),
        };
        let nonblocking = flags & libc::SOCK_NONBLOCK != 0;
        let own = Socket(accepted.as_raw_fd());
        let connection = match arrive::arrive(caller, listener, own, &peer, nonblocking) {
            // Whoever rang has hung up.
            Some(Err(_)) if arrive::may_skip(listener) => continue,
            Some(Err(_)) => {
                own.shut();
                accepted
            }
            Some(Ok(arrived)) => {
                peer = arrived.peer;
                arrived.connection.unwrap_or(accepted)
            }
            None => accepted,
        };
        if caller.argument(1) != 0
            && let Err(errno) = address::give(caller, &peer, caller.argument(1), caller.argument(2))
        {
            return Some(Answer::Failed(errno));
        }
        if let Some(kept) = &caller.supervisor.sockets.kept {
            kept.note(&connection);
        }
        return Some(Answer::Descriptor(connection, flags & libc::SOCK_CLOEXEC != 0));
    }
}

/// Waits for a connection, as long as the guest does: tells whether there is one. What comes is taken without a wait,
/// because several may have waited for it.
fn wait(caller: &Caller<'_>, held: &OwnedFd, listener: Socket) -> Outcome<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let looked = poll(&mut [PollFd::new(held, PollFlags::IN)], Some(&now));
    if looked.is_ok_and(|n_ready| n_ready > 0) {
        return Ok(true);
    }
    caller.turn.hand_over();
    match caller.wait_for(held.as_fd(), time_limit(listener))? {
        Ended::Ready => Ok(true),
        Ended::Interrupted => Ok(false),
        Ended::TimedOut => Err(Errno(libc::EAGAIN)),
    }
}

/// `SO_RCVTIMEO`, which an accept keeps, too.
pub(super) fn time_limit(listener: Socket) -> Option<std::time::Duration> {
    let value = listener.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO).ok()?;
    let (seconds, rest) = value.bytes().split_first_chunk::<8>()?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    let micros = u64::try_from(i64::from_ne_bytes(*rest.first_chunk::<8>()?)).ok()?;
    let limit = std::time::Duration::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros));
    (!limit.is_zero()).then_some(limit)
}

/// Accepts what has come. One worker at a time takes from sockets that wait, so that none of them does.
fn take(held: &Held, peer: &mut Encoded, flags: c_int) -> Outcome<OwnedFd> {
    static ONE_BY_ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let is_waiting = !held.socket().is_nonblocking();
    let _alone = is_waiting.then(|| ONE_BY_ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    if is_waiting {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&held.0, PollFlags::IN)], Some(&now));
        if !ready.is_ok_and(|n_ready| n_ready > 0) {
            return Err(Errno(libc::EAGAIN));
        }
    }
    let length = std::ptr::from_mut(peer.length_mut());
    let flags = flags | libc::SOCK_CLOEXEC;
    // SAFETY: the place is ours, and as large as any address.
    let number = unsafe { libc::accept4(held.0.as_raw_fd(), peer.as_mut_ptr(), length, flags) };
    if number < 0 {
        return Err(Errno(nix::errno::Errno::last_raw()));
    }
    // SAFETY: the descriptor is fresh, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
