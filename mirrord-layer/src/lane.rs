//! Lanes to the agent: questions to which the proxy adds nothing take one hop instead of two.
//!
//! A program that asks once or twice does not repay the opening of a lane, so the first questions go to the proxy.

use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
};

use mirrord_protocol::{
    agent::{AgentCall, FromAgent, ToAgent},
    id::RequestId,
    proxy::{ToProxy, direct},
    wire::{self, MAX_FRAME},
};
use rustix::{
    io::{Errno, IoSlice, IoSliceMut},
    net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags},
};

use crate::link::{self, Connection, LinkError, Reply, Whom};

/// How many questions go to the proxy before there is a lane.
const N_FIRST: u32 = 2;

/// There are no lanes in this session.
const NEVER: u32 = u32::MAX;

/// How many questions were asked that an agent could answer, or [`NEVER`].
static N_ASKED: AtomicU32 = AtomicU32::new(NEVER);

/// With fewer descriptors than this a guest has none to spare.
const ENOUGH_NUMBERS: u64 = 256;

/// The length of a frame, before it.
const HEADER: usize = 4;

/// From now on there may be lanes: descriptors are passed.
pub(crate) fn permit() {
    N_ASKED.store(0, Ordering::Relaxed);
}

/// Asks the agent itself; nothing if the proxy is to be asked.
pub(crate) fn ask(question: &ToProxy) -> Option<Result<Reply, LinkError>> {
    let n_asked = N_ASKED.load(Ordering::Relaxed);
    if n_asked == NEVER {
        return None;
    }
    let call = direct::call(question)?;
    if n_asked < N_FIRST {
        // Threads that count at once count one too few, which is no harm.
        N_ASKED.store(n_asked + 1, Ordering::Relaxed);
        return None;
    }
    let connection = match Connection::claim(Whom::Agent, false) {
        Ok(connection) => connection,
        // Another time there may be a number.
        Err(LinkError::Full(_)) => return None,
        Err(LinkError::Lost) => {
            N_ASKED.store(NEVER, Ordering::Relaxed);
            return None;
        }
    };
    if send(connection.socket.as_fd(), call).is_ok() {
        return Some(link::settled(connection.finish(|lane| receive(lane).map(Some))));
    }
    // The agent is gone, and has not seen it: the proxy has words for that.
    connection.discard();
    None
}

/// A new lane.
pub(crate) fn open() -> Result<OwnedFd, LinkError> {
    // Where numbers are scarce they are the guest's.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if limit.is_some_and(|limit| limit < ENOUGH_NUMBERS) {
        return Err(LinkError::Full(Errno::MFILE));
    }
    let mut reply = link::ask_proxy(&ToProxy::Lane)?;
    let lane = reply.take_descriptor().map(link::keep).ok_or(LinkError::Lost)?;
    // The answer that is wanted may need the number that the lane has just taken.
    link::find_room()?;
    Ok(lane)
}

fn send(lane: BorrowedFd<'_>, call: AgentCall) -> Result<(), LinkError> {
    let frame =
        wire::encode(&ToAgent { id: RequestId(0), call, descriptor: false }).map_err(|_| LinkError::Lost)?;
    let header = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut n_sent = 0;
    while n_sent < HEADER + frame.len() {
        let parts = [
            IoSlice::new(&header[n_sent.min(HEADER)..]),
            IoSlice::new(&frame[n_sent.saturating_sub(HEADER)..]),
        ];
        match rustix::net::sendmsg(lane, &parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL) {
            Ok(n_more) => n_sent += n_more,
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError::Lost),
        }
    }
    Ok(())
}

fn receive(lane: BorrowedFd<'_>) -> Result<Reply, LinkError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    // Few answers are longer than this.
    let mut first = [0; 1024];
    let (mut n_read, is_cut) = receive_first(lane, &mut first, &mut ancillary)?;
    while n_read < HEADER {
        n_read += read_more(lane, &mut first[n_read..])?;
    }
    let header = first.first_chunk::<HEADER>().ok_or(LinkError::Lost)?;
    let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
    if length > MAX_FRAME || n_read > HEADER + length {
        return Err(LinkError::Lost);
    }
    let mut longer;
    let frame: &mut [u8] = if HEADER + length <= first.len() {
        &mut first[..HEADER + length]
    } else {
        longer = vec![0; HEADER + length];
        longer[..n_read].copy_from_slice(&first[..n_read]);
        &mut longer
    };
    while n_read < frame.len() {
        n_read += read_more(lane, &mut frame[n_read..])?;
    }
    match wire::decode(&frame[HEADER..]) {
        Ok(FromAgent::Answer { outcome, .. }) => Reply::new(direct::answer(outcome), &mut ancillary, is_cut),
        _ => Err(LinkError::Lost),
    }
}

/// Receives the first bytes of an answer, and what rides along with them; tells whether something found no number.
fn receive_first(
    lane: BorrowedFd<'_>,
    place: &mut [u8],
    ancillary: &mut RecvAncillaryBuffer<'_>,
) -> Result<(usize, bool), LinkError> {
    loop {
        match rustix::net::recvmsg(lane, &mut [IoSliceMut::new(place)], ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes > 0 => {
                return Ok((message.bytes, message.flags.contains(ReturnFlags::CTRUNC)));
            }
            Err(Errno::INTR) => {}
            _ => return Err(LinkError::Lost),
        }
    }
}

fn read_more(lane: BorrowedFd<'_>, place: &mut [u8]) -> Result<usize, LinkError> {
    loop {
        match rustix::io::read(lane, &mut *place) {
            Ok(n_read) if n_read > 0 => return Ok(n_read),
            Err(Errno::INTR) => {}
            _ => return Err(LinkError::Lost),
        }
    }
}
