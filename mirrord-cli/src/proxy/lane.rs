//! Lanes to an agent: on this machine a connection each, opened by passing its far end; elsewhere a trunk carries them.

use std::{
    io::{self, IoSlice},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mirrord_protocol::{
    agent::LaneOpen,
    fault::Fault,
    frame::{FrameReader, encode_frame},
    wire,
};
use mirrord_trunk::Near;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::rights;

/// How long a lane waits until those before it have reached the agent.
const CROWD_TIME: Duration = Duration::from_secs(2);

/// What lanes travel through.
#[derive(Debug)]
pub(crate) enum Lanes {
    /// A socket: the agent's descriptor 3 is its other end.
    Here(OwnedFd),
    /// A trunk to another machine.
    There(Near),
}

impl Lanes {
    /// A pair: ours, and the agent's.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::Here(ours), theirs))
    }

    /// Opens a lane and sends its first frame.
    pub(crate) fn open(&self, first: &LaneOpen) -> io::Result<StdStream> {
        let frame = encode_frame(first).map_err(io::Error::other)?;
        let begin = |lane: StdStream| {
            let n_sent = rights::send(&lane, &[IoSlice::new(&frame)], None)?;
            if n_sent != frame.len() {
                return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
            }
            lane.set_nonblocking(true)?;
            Ok(lane)
        };
        match self {
            Self::Here(socket) => {
                let (ours, theirs) = StdStream::pair()?;
                // Whoever gets a lane finds there what it is for.
                let lane = begin(ours)?;
                pass(socket, theirs.as_fd())?;
                Ok(lane)
            }
            Self::There(trunk) => begin(trunk.open()?),
        }
    }

    /// No more lanes: the agent is told that we go in order, and sees the end.
    pub(crate) fn close(&self) {
        match self {
            Self::Here(socket) => {
                let _ = rights::send(socket, &[IoSlice::new(&[0])], None);
                let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
            }
            Self::There(trunk) => trunk.part(),
        }
    }
}

/// Passes the far end of a lane. It is read when the agent comes to it; this waits only while more lanes are on their
/// way than the kernel keeps, and not for ever.
fn pass(socket: &OwnedFd, theirs: BorrowedFd<'_>) -> io::Result<()> {
    let since = Instant::now();
    while let Err(error) = rights::send(socket, &[IoSlice::new(&[0])], Some(theirs)) {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ETOOMANYREFS | libc::EINTR) if since.elapsed() < CROWD_TIME => {
                thread::sleep(Duration::from_millis(1));
            }
            _ => return Err(error),
        }
    }
    Ok(())
}

/// Reads one frame from a lane. What follows it stays in `reader`.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    reader: &mut FrameReader,
) -> io::Result<Bytes> {
    loop {
        let frame = reader.next_frame().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(frame) = frame {
            return Ok(frame);
        }
        if stream.read_buf(reader.buffer()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads the answer that a lane begins with; a lane that ends without one has lost its agent.
pub(crate) async fn read_answer<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    reader: &mut FrameReader,
) -> Result<T, Fault> {
    let frame = match read_frame(stream, reader).await {
        Ok(frame) => frame,
        Err(error) => return Err(Fault::with_words(libc::ENETDOWN, error.to_string())),
    };
    wire::decode::<Result<T, Fault>>(&frame)
        .unwrap_or_else(|error| Err(Fault::with_words(libc::EPROTO, error.to_string())))
}
