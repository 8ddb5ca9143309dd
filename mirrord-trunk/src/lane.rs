//! One lane: what its user writes goes into the trunk, and what comes of the trunk goes to its user.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use mirrord_protocol::trunk::{End, LaneId, MAX_PIECE};
use rustix::net::Shutdown;
use tokio::{io::Interest, net::UnixStream};

use crate::{
    bell::{Bell, Order},
    carrier::Carrier,
};

/// How many bytes are taken from the trunk at once.
const PULLED: usize = 4 * MAX_PIECE;

/// What a lane reads at first; whoever fills it gets more.
const FIRST_READ: usize = 4 << 10;

/// Pieces smaller than this are copied out, so that they do not keep alive a whole buffer.
const COPIED: usize = MAX_PIECE / 4;

/// A lane's user and what is between.
struct Lane {
    socket: UnixStream,
    /// For the user.
    inbound: VecDeque<Bytes>,
    n_delivered: usize,
    end: Option<End>,
    is_shut: bool,
    /// Nobody listens at the user's end.
    is_deaf: bool,
    /// From the user.
    read: Option<Bytes>,
    ending: Option<End>,
    has_ended: bool,
    scratch: BytesMut,
    read_size: usize,
}

/// Carries a lane until both of its directions have ended.
pub(crate) async fn carry(carrier: Arc<Carrier>, id: LaneId, bell: Arc<Bell>, socket: UnixStream) {
    let mut lane = Lane {
        socket,
        inbound: VecDeque::new(),
        n_delivered: 0,
        end: None,
        is_shut: false,
        is_deaf: false,
        read: None,
        ending: None,
        has_ended: false,
        scratch: BytesMut::new(),
        read_size: FIRST_READ,
    };
    loop {
        let order = bell.order();
        if order == Order::Drop {
            return;
        }
        let mut room = lane.exchange(&carrier, id);
        let is_broken = lane.has_ended && lane.is_deaf;
        let is_over = lane.inbound.is_empty() && (order == Order::Finish || lane.end == Some(End::Broken));
        if is_broken || is_over {
            return;
        }
        let mut has_moved = lane.deliver();
        if !lane.has_ended && room > 0 {
            has_moved |= lane.listen(room, carrier.is_parting());
            room = room.saturating_sub(lane.read.as_ref().map_or(0, Bytes::len));
        }
        if has_moved {
            let is_bulk = lane.n_delivered + lane.read.as_ref().map_or(0, Bytes::len) >= MAX_PIECE;
            if is_bulk {
                // Small lanes are not to wait for more of this one.
                tokio::task::yield_now().await;
            } else {
                tokio::task::coop::consume_budget().await;
            }
            continue;
        }
        lane.wait(&bell, room > 0).await;
    }
}

impl Lane {
    /// Tells the trunk what has moved, takes what has come, and says how much may be read.
    fn exchange(&mut self, carrier: &Arc<Carrier>, id: LaneId) -> usize {
        carrier.with(|trunk, now| {
            if let Some(bytes) = self.read.take() {
                trunk.write(id, bytes);
            }
            if let Some(end) = self.ending.take() {
                trunk.end(id, end);
            }
            if self.n_delivered > 0 {
                trunk.consume(id, std::mem::take(&mut self.n_delivered), now);
            }
            if self.inbound.is_empty() && !self.is_deaf {
                self.end = trunk.pull(id, &mut self.inbound, PULLED).or(self.end);
            }
            trunk.room(id)
        })
    }

    /// Writes what the user takes; true if anything has changed.
    fn deliver(&mut self) -> bool {
        let mut has_moved = false;
        while !self.inbound.is_empty() && !self.is_deaf {
            let slices: Vec<IoSlice<'_>> =
                self.inbound.iter().take(16).map(|bytes| IoSlice::new(bytes)).collect();
            match self.socket.try_write_vectored(&slices) {
                Ok(n_written) => {
                    drop(slices);
                    self.advance(n_written);
                    has_moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.inbound.clear();
                    self.is_deaf = true;
                    has_moved = true;
                    if self.has_ended {
                        self.ending = Some(End::Broken);
                    }
                }
            }
        }
        if self.inbound.is_empty() && self.end == Some(End::Finished) && !self.is_shut {
            self.is_shut = true;
            let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
        }
        has_moved
    }

    fn advance(&mut self, n_written: usize) {
        self.n_delivered += n_written;
        let mut rest = n_written;
        while let Some(first) = self.inbound.front_mut() {
            if rest < first.len() {
                first.advance(rest);
                break;
            }
            rest -= first.len();
            self.inbound.pop_front();
        }
    }

    /// Reads what the user has written, if there is room; true if anything has changed.
    fn listen(&mut self, room: usize, is_parting: bool) -> bool {
        // Whoever does not listen any more is still heard out, but not waited for.
        let last = if self.is_deaf { End::Broken } else { End::Finished };
        let is_last = is_parting || self.is_deaf;
        let outcome = if is_last { self.read_now(room) } else { self.read_some(room) };
        self.ending = match outcome {
            Ok(0) => Some(last),
            Ok(_) => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_last.then_some(last),
            Err(_) => {
                self.is_deaf = true;
                Some(End::Broken)
            }
        };
        self.has_ended = self.ending.is_some();
        self.has_ended
    }

    fn read_some(&mut self, room: usize) -> io::Result<usize> {
        let most = room.min(self.read_size);
        self.scratch.reserve(most);
        let n_read = self.socket.try_read_buf(&mut (&mut self.scratch).limit(most))?;
        if n_read == self.read_size {
            self.read_size = (self.read_size * 4).min(MAX_PIECE);
        }
        if n_read > 0 {
            self.read = Some(if n_read < COPIED {
                let bytes = Bytes::copy_from_slice(&self.scratch);
                self.scratch.clear();
                bytes
            } else {
                self.scratch.split().freeze()
            });
        }
        Ok(n_read)
    }

    /// Reads what the kernel has, whether the reactor has heard of it or not.
    fn read_now(&mut self, room: usize) -> io::Result<usize> {
        let mut bytes = vec![0; room.min(MAX_PIECE)];
        let n_read = rustix::io::read(&self.socket, &mut bytes)?;
        bytes.truncate(n_read);
        self.read = Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty());
        Ok(n_read)
    }

    async fn wait(&self, bell: &Bell, has_room: bool) {
        let interest = match (has_room && !self.has_ended, !self.inbound.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        match interest {
            Some(interest) => tokio::select! {
                () = bell.notify.notified() => {}
                _ = self.socket.ready(interest) => {}
            },
            None => bell.notify.notified().await,
        }
    }
}
