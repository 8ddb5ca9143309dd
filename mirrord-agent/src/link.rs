//! Frames over a lane, each with the descriptor that rides along.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use bytes::Bytes;
use mirrord_protocol::{
    frame::{FrameReader, OversizedFrame},
    wire::DecodeError,
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use thiserror::Error;
use tokio::{io::Interest, net::UnixStream};

/// How many descriptors may wait for their frames.
const MAX_WAITING: usize = 64;

/// How much is read at once: at first, as most lanes have one short frame only, and at most.
const FIRST_PIECE: usize = 2 << 10;
const MAX_PIECE: usize = 64 << 10;

/// Why a lane cannot be read on.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// The socket failed, or ended within a frame.
    #[error("the lane broke")]
    Broken(#[source] io::Error),
    /// The peer boasted.
    #[error(transparent)]
    Oversized(#[from] OversizedFrame),
    /// The peer sent nonsense.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The peer announced a descriptor that did not come, or sent ones that nobody announced.
    #[error("peer's frames and descriptors do not match")]
    Descriptors,
}

/// The reading side of a lane that still speaks in frames.
#[derive(Debug)]
pub(crate) struct LaneReader {
    stream: Arc<UnixStream>,
    frames: FrameReader,
    /// In the order of their frames; nothing stands for one for which we had no number.
    descriptors: VecDeque<Option<OwnedFd>>,
    piece: Vec<u8>,
    /// Whether nothing was read yet: a lane comes with its first frame in it.
    is_fresh: bool,
}

impl LaneReader {
    /// Reads from this lane.
    pub(crate) fn new(stream: Arc<UnixStream>) -> Self {
        Self {
            stream,
            frames: FrameReader::default(),
            descriptors: VecDeque::new(),
            piece: vec![0; FIRST_PIECE],
            is_fresh: true,
        }
    }

    /// The next frame; none at the end. Safe to cancel.
    ///
    /// # Errors
    /// When the lane breaks, or the peer breaks the protocol.
    pub(crate) async fn next_frame(&mut self) -> Result<Option<Bytes>, LinkError> {
        loop {
            if let Some(frame) = self.frames.next_frame()? {
                return Ok(Some(frame));
            }
            if self.fill().await? == 0 {
                let is_whole = self.frames.buffer().is_empty();
                return if is_whole {
                    Ok(None)
                } else {
                    Err(LinkError::Broken(io::ErrorKind::UnexpectedEof.into()))
                };
            }
        }
    }

    /// Reads a piece in, and says how many bytes are waiting; 0 if that was the end. Safe to cancel.
    pub(crate) async fn fill(&mut self) -> Result<usize, LinkError> {
        let Self { stream, descriptors, piece, is_fresh, .. } = self;
        let now = std::mem::take(is_fresh).then(|| receive(stream.as_fd(), piece, descriptors));
        let received = match now {
            Some(received) if !is_too_early(&received) => received,
            _ => stream.async_io(Interest::READABLE, || receive(stream.as_fd(), piece, descriptors)).await,
        };
        match received {
            Ok(Some(0)) => Ok(0),
            Ok(Some(n_read)) => {
                self.frames.feed(&self.piece[..n_read]);
                if n_read == self.piece.len() && n_read < MAX_PIECE {
                    self.piece.resize(MAX_PIECE, 0);
                }
                Ok(self.frames.buffer().len())
            }
            Ok(None) => Err(LinkError::Descriptors),
            Err(error) => Err(LinkError::Broken(error)),
        }
    }

    /// The descriptor that the last frame has announced; none if it was lost, because we have too many.
    ///
    /// # Errors
    /// When it has not come.
    pub(crate) fn take_descriptor(&mut self) -> Result<Option<OwnedFd>, LinkError> {
        self.descriptors.pop_front().ok_or(LinkError::Descriptors)
    }

    /// What was read beyond the last frame.
    pub(crate) fn into_rest(self) -> Bytes {
        self.frames.into_rest()
    }
}

fn is_too_early<T>(received: &io::Result<T>) -> bool {
    received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Reads once; nothing if more descriptors came than may wait.
fn receive(
    stream: BorrowedFd<'_>,
    piece: &mut [u8],
    descriptors: &mut VecDeque<Option<OwnedFd>>,
) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut place = [IoSliceMut::new(piece)];
    let received = rustix::net::recvmsg(stream, &mut place, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights.map(Some));
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        tracing::error!("lost a descriptor: there is no number left for it");
        descriptors.push_back(None);
    }
    Ok((descriptors.len() <= MAX_WAITING).then_some(received.bytes))
}

/// Writes a whole frame, with a descriptor attached to its first byte.
///
/// # Errors
/// When the lane breaks.
pub(crate) async fn send(
    stream: &UnixStream,
    frame: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut n_sent = 0;
    while n_sent < frame.len() {
        let rest = &frame[n_sent..];
        let riding = descriptor.filter(|_| n_sent == 0);
        n_sent += stream.async_io(Interest::WRITABLE, || send_once(stream.as_fd(), rest, riding)).await?;
    }
    Ok(())
}

/// Writes what can be written at once, with a descriptor attached to the first byte, and says how much.
///
/// # Errors
/// When that is nothing, or the lane breaks.
pub(crate) fn try_send(
    stream: &UnixStream,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    stream.try_io(Interest::WRITABLE, || send_once(stream.as_fd(), bytes, descriptor))
}

/// Writes once, with a descriptor attached to the first byte, and says how much.
///
/// # Errors
/// When that is nothing, or the lane breaks.
pub(crate) fn send_once(
    stream: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let riding = descriptor.map(|descriptor| [descriptor]);
    if let Some(riding) = &riding {
        ancillary.push(SendAncillaryMessage::ScmRights(riding));
    }
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}
