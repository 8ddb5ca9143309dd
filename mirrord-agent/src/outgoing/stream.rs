//! Bytes between a lane and a socket, both ways, so that every end arrives as what it was.
//!
//! ```text
//!   lane  ──chunks──▶ Inward  ──bytes──▶ socket          a FIN of either side closes that direction only;
//!   lane  ◀─chunks─── Outward ◀─bytes─── socket          a reset or a failure of either side ends both
//! ```
//!
//! Each direction waits for its own slow side and holds 64 KiB at most. When writing to the socket fails, the other
//! direction tells it, after what the socket still had to say: so a direct connection would have shown it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use mirrord_protocol::chunk::{Chunk, HEADER, MAX_CHUNK};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::Notify,
};

use crate::incoming::{Heard, Hearing};

/// What a stream is given to begin with: most say little. Whoever fills it gets more.
const FIRST_BUFFER: usize = 4 << 10;

/// How long bytes may not move before they are given up.
const STALL: Duration = Duration::from_secs(60);

/// How long a reset waits for the bytes that were sent before it.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// The room of two whole chunks: a lane is then read at their borders, and what goes on is not cut into crumbs.
const INWARD_BUFFER: usize = 2 * (HEADER + MAX_CHUNK);

/// What a stream's socket can do.
pub(crate) trait Stream: AsFd {
    /// Waits until there may be something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Reads without waiting.
    fn try_read(&self, place: &mut [u8]) -> io::Result<usize>;
    /// Waits until there may be room.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Writes without waiting.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// How many written bytes would be lost if the socket were closed while there is something to read.
    fn n_at_risk(&self) -> libc::c_int;
}

macro_rules! stream {
    ($socket:ty, $n_at_risk:expr) => {
        impl Stream for $socket {
            async fn readable(&self) -> io::Result<()> {
                <$socket>::readable(self).await
            }
            fn try_read(&self, place: &mut [u8]) -> io::Result<usize> {
                <$socket>::try_read(self, place)
            }
            async fn writable(&self) -> io::Result<()> {
                <$socket>::writable(self).await
            }
            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                <$socket>::try_write(self, bytes)
            }
            fn n_at_risk(&self) -> libc::c_int {
                $n_at_risk(self)
            }
        }
    };
}

stream!(TcpStream, n_unacknowledged);
// What was written to a unix socket has arrived.
stream!(UnixStream, |_: &UnixStream| 0);

fn n_unacknowledged(stream: &TcpStream) -> libc::c_int {
    let mut n_bytes = 0;
    // SAFETY: The request writes one integer to the address that it is given.
    let outcome = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut n_bytes) };
    if outcome == 0 { n_bytes } else { 0 }
}

/// Counts what was written, so that a slow stream can be told from one that stands still.
static N_WRITTEN: AtomicUsize = AtomicUsize::new(0);

/// A number that changes while bytes move.
pub(crate) fn progress() -> usize {
    N_WRITTEN.load(Relaxed)
}

/// What one direction has to tell the other.
#[derive(Debug, Default)]
struct Between {
    /// The lane has said that nothing more comes, and the socket's side is shut down.
    inward_finished: AtomicBool,
    /// Writing to the socket has failed with this errno.
    inward_failed: OnceLock<i32>,
    /// The socket's end has been told to the lane.
    outward_finished: AtomicBool,
    news: Notify,
}

/// How a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides had said all.
    Whole,
    /// The lane's side has said all, and does not listen any more.
    Closed,
    /// The socket broke, and the lane knows.
    Broken,
    /// The lane broke, was reset, or spoke nonsense.
    Reset,
}

/// Carries until both directions have ended. `rest` is what was already read from the lane.
pub(crate) async fn carry<S: Stream>(lane: &UnixStream, rest: Bytes, socket: S) {
    let between = Between::default();
    // Until its end is known it is a reset, also when the kernel closes it for an agent that was killed: what has been
    // cut off must not look like what was said to the end.
    reset_at_end(&socket, true);
    let end = tokio::select! {
        end = inward(lane, rest, &socket, &between) => end,
        end = outward(&socket, lane, &between) => end,
    };
    match end {
        End::Closed => deliver(&socket, STALL).await,
        End::Reset => return deliver(&socket, LAST_BYTES).await,
        End::Whole | End::Broken => {}
    }
    reset_at_end(&socket, false);
}

/// Waits until what was written has arrived: a close while there is something to read would take it back.
async fn deliver<S: Stream>(socket: &S, patience: Duration) {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(100);
    let mut nothing = [0; 4096];
    let mut n_left = socket.n_at_risk();
    let (mut pause, mut stalled) = (SHORTEST, Duration::ZERO);
    while n_left > 0 && stalled < patience {
        while matches!(socket.try_read(&mut nothing), Ok(1..)) {}
        tokio::time::sleep(pause).await;
        let n_now = socket.n_at_risk();
        stalled = if n_now == n_left { stalled + pause } else { Duration::ZERO };
        if n_now != n_left {
            N_WRITTEN.fetch_add(1, Relaxed);
        }
        n_left = n_now;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Whether the close of a socket is a reset, where it knows one.
fn reset_at_end(socket: &impl AsFd, resets: bool) {
    if let Err(error) = rustix::net::sockopt::set_socket_linger(socket, resets.then_some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection cannot be reset");
    }
}

/// From the lane to the socket.
async fn inward<S: Stream>(lane: &UnixStream, rest: Bytes, socket: &S, between: &Between) -> End {
    let mut unread = Unread { lane, rest, buffer: vec![0; FIRST_BUFFER], start: 0, end: 0 };
    loop {
        match unread.header().await {
            Ok(Some(Chunk::Data(_))) if between.inward_finished.load(Relaxed) => return End::Reset,
            Ok(Some(Chunk::Data(length))) => {
                if forward(&mut unread, length, socket, between).await.is_err() {
                    return End::Reset;
                }
                // Others wait: a stream that never has to would keep the thread to itself.
                tokio::task::yield_now().await;
            }
            Ok(Some(Chunk::Finished)) => {
                let shut = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
                if let Err(error) = shut
                    && between.inward_failed.get().is_none()
                {
                    tracing::debug!(%error, "a connection is gone before its end");
                }
                between.inward_finished.store(true, Relaxed);
                between.news.notify_one();
            }
            // A lane that ends after its bytes did is a socket that is closed: all that it said is to arrive.
            Ok(None) | Err(_) if between.inward_finished.load(Relaxed) => {
                return if between.outward_finished.load(Relaxed) { End::Whole } else { End::Closed };
            }
            Ok(None | Some(Chunk::Broken(_))) | Err(_) => return End::Reset,
        }
    }
}

/// Carries the bytes of one chunk; once the socket has failed, into nothing.
async fn forward<S: Stream>(
    unread: &mut Unread<'_>,
    mut length: usize,
    socket: &S,
    between: &Between,
) -> io::Result<()> {
    while length > 0 {
        let piece = unread.piece(length).await?;
        length -= piece.len();
        if between.inward_failed.get().is_some() {
            continue;
        }
        if let Err(error) = write_all(socket, piece).await {
            between.inward_failed.get_or_init(|| error.raw_os_error().unwrap_or(libc::EPIPE));
            between.news.notify_one();
        }
    }
    Ok(())
}

/// From the socket to the lane.
async fn outward<S: Stream>(socket: &S, lane: &UnixStream, between: &Between) -> End {
    let mut buffer = vec![0; HEADER + FIRST_BUFFER];
    let end = loop {
        match read(socket, &mut buffer[HEADER..]).await {
            Ok(0) => {
                break between.inward_failed.get().map_or(Chunk::Finished, |errno| Chunk::Broken(*errno));
            }
            Ok(n_read) => {
                buffer[..HEADER].copy_from_slice(&Chunk::Data(n_read).encode());
                if write_all(lane, &buffer[..HEADER + n_read]).await.is_err() {
                    return swallow(socket, &mut buffer).await;
                }
                if HEADER + n_read == buffer.len() {
                    buffer.resize(HEADER + MAX_CHUNK, 0);
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => break Chunk::Broken(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    };
    if write_all(lane, &end.encode()).await.is_err() {
        return swallow(socket, &mut buffer).await;
    }
    drop(buffer);
    if end != Chunk::Finished {
        return End::Broken;
    }
    between.outward_finished.store(true, Relaxed);
    loop {
        if let Some(errno) = between.inward_failed.get() {
            // The lane may be gone by now, and then there is nobody to tell.
            let _ = write_all(lane, &Chunk::Broken(*errno).encode()).await;
            return End::Broken;
        }
        if between.inward_finished.load(Relaxed) {
            return End::Whole;
        }
        between.news.notified().await;
    }
}

/// Nobody listens at the lane any more, but what came by it may still be on its way: the other direction knows the end.
async fn swallow<S: Stream>(socket: &S, buffer: &mut [u8]) -> End {
    while !matches!(read(socket, buffer).await, Ok(0) | Err(_)) {}
    std::future::pending().await
}

/// What was read from the lane and not yet carried on.
struct Unread<'lane> {
    lane: &'lane UnixStream,
    /// What was read together with the first frame.
    rest: Bytes,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Unread<'_> {
    /// The next header; none if the lane ends before one.
    async fn header(&mut self) -> io::Result<Option<Chunk>> {
        let mut header = [0; HEADER];
        let mut n_read = 0;
        while n_read < HEADER {
            match self.piece(HEADER - n_read).await {
                Ok(piece) => {
                    header[n_read..n_read + piece.len()].copy_from_slice(piece);
                    n_read += piece.len();
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && n_read == 0 => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Chunk::parse(header).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// At least one byte, and at most so many.
    async fn piece(&mut self, most: usize) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            if self.end == self.buffer.len() {
                self.buffer.resize(INWARD_BUFFER, 0);
            }
            self.end = if self.rest.is_empty() {
                read(self.lane, &mut self.buffer).await?
            } else {
                let n_taken = self.rest.len().min(self.buffer.len());
                self.buffer[..n_taken].copy_from_slice(&self.rest.split_to(n_taken));
                n_taken
            };
            if self.end == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let from = self.start;
        self.start = self.end.min(from + most);
        Ok(&self.buffer[from..self.start])
    }
}

/// Reads what there is, waiting for it.
pub(crate) async fn read<S: Stream>(stream: &S, place: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.try_read(place) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Writes all, waiting for room.
pub(crate) async fn write_all<S: Stream>(stream: &S, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(n_written) => {
                N_WRITTEN.fetch_add(n_written, Relaxed);
                bytes = &bytes[n_written..];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells a lane what is heard of a mirrored connection; what the lane says is dropped.
pub(crate) async fn hear(lane: &UnixStream, mut hearing: Hearing) {
    let tell = async {
        while let Some(heard) = hearing.next().await {
            let told = match heard {
                Heard::Bytes(bytes) => tell_bytes(lane, &bytes).await,
                Heard::Finished => write_all(lane, &Chunk::Finished.encode()).await,
                Heard::Broken(errno) => write_all(lane, &Chunk::Broken(errno).encode()).await,
            };
            if told.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = tell => {}
        () = gone(lane) => {}
    }
}

async fn tell_bytes(lane: &UnixStream, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(MAX_CHUNK) {
        write_all(lane, &Chunk::Data(piece.len()).encode()).await?;
        write_all(lane, piece).await?;
    }
    Ok(())
}

/// Waits until the lane's other end is gone, and drops what comes meanwhile.
async fn gone(lane: &UnixStream) {
    let mut nothing = [0; 512];
    while !matches!(read(lane, &mut nothing).await, Ok(0) | Err(_)) {}
}
