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
use mirrord_trunk::{
    socket::Socket,
    splice::{self, Pipe},
};
use tokio::{
    io::Interest,
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
pub(crate) trait Stream: Socket {
    /// How many written bytes would be lost if the socket were closed while there is something to read.
    fn n_at_risk(&self) -> libc::c_int;
}

impl Stream for TcpStream {
    fn n_at_risk(&self) -> libc::c_int {
        n_unacknowledged(self)
    }
}

impl Stream for UnixStream {
    /// What was written to a unix socket has arrived.
    fn n_at_risk(&self) -> libc::c_int {
        0
    }
}

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
        while matches!(socket.try_take(&mut nothing), Ok(1..)) {}
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
    let mut unread = Unread { lane, rest, buffer: vec![0; FIRST_BUFFER], start: 0, end: 0, pipe: None };
    loop {
        match unread.header().await {
            Ok(Some(Chunk::Data(_))) if between.inward_finished.load(Relaxed) => return End::Reset,
            Ok(Some(Chunk::Data(length))) => {
                unread.expect(length, between.inward_failed.get().is_none());
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
        if let Some(pipe) = &mut unread.pipe
            && unread.start == unread.end
            && unread.rest.is_empty()
        {
            length -= take(pipe, unread.lane, length).await?;
            if let Err(error) = give(pipe, socket).await {
                fail(between, &error);
                unread.pipe = None;
            }
            continue;
        }
        let piece = unread.piece(length).await?;
        length -= piece.len();
        if between.inward_failed.get().is_some() {
            continue;
        }
        if let Err(error) = write_all(socket, piece).await {
            fail(between, &error);
        }
    }
    Ok(())
}

fn fail(between: &Between, error: &io::Error) {
    between.inward_failed.get_or_init(|| error.raw_os_error().unwrap_or(libc::EPIPE));
    between.news.notify_one();
}

/// Takes up to so many bytes of a stream into a pipe, waiting for some.
async fn take<S: Stream>(pipe: &mut Pipe, from: &S, most: usize) -> io::Result<usize> {
    loop {
        match from.try_do(Interest::READABLE, || pipe.take(from, most)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => from.readable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Gives on all that a pipe has, waiting for room.
async fn give<S: Stream>(pipe: &mut Pipe, to: &S) -> io::Result<()> {
    while !pipe.is_empty() {
        match to.try_do(Interest::WRITABLE, || pipe.give(to)) {
            Ok(n_given) => drop(N_WRITTEN.fetch_add(n_given, Relaxed)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// From the socket to the lane.
async fn outward<S: Stream>(socket: &S, lane: &UnixStream, between: &Between) -> End {
    let mut buffer = vec![0; HEADER + FIRST_BUFFER];
    let mut pipe = None;
    let end = loop {
        if let Some(uncopied) = &mut pipe {
            match pass(uncopied, socket, lane).await {
                Ok(Passed::Large) => tokio::task::yield_now().await,
                Ok(Passed::Small | Passed::Finished) => pipe = None,
                Ok(Passed::Broken(errno)) => break Chunk::Broken(errno),
                Err(_) => return swallow(socket, &mut buffer).await,
            }
            continue;
        }
        match read(socket, &mut buffer[HEADER..]).await {
            Ok(0) => {
                break between.inward_failed.get().map_or(Chunk::Finished, |errno| Chunk::Broken(*errno));
            }
            Ok(n_read) => {
                buffer[..HEADER].copy_from_slice(&Chunk::Data(n_read).encode());
                if write_all(lane, &buffer[..HEADER + n_read]).await.is_err() {
                    return swallow(socket, &mut buffer).await;
                }
                if n_read == MAX_CHUNK {
                    pipe = Pipe::new().ok();
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

/// What came of a chunk that was to go uncopied.
enum Passed {
    /// It was large.
    Large,
    /// It was not: the next ones are copied sooner.
    Small,
    /// There was none: the socket has ended, which it says again.
    Finished,
    /// The socket has broken, which it says once.
    Broken(i32),
}

/// Passes a chunk on, uncopied. Fails if the lane does.
async fn pass<S: Stream>(pipe: &mut Pipe, socket: &S, lane: &UnixStream) -> io::Result<Passed> {
    let n_taken = match take(pipe, socket, MAX_CHUNK).await {
        Ok(n_taken) => n_taken,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Passed::Finished),
        Err(error) => return Ok(Passed::Broken(error.raw_os_error().unwrap_or(libc::EIO))),
    };
    write_all(lane, &Chunk::Data(n_taken).encode()).await?;
    give(pipe, lane).await?;
    Ok(if n_taken < splice::LARGE { Passed::Small } else { Passed::Large })
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
    /// For large chunks, which go uncopied; then nothing is read beyond them.
    pipe: Option<Pipe>,
}

impl Unread<'_> {
    /// A chunk of this length is next, and is wanted or not.
    fn expect(&mut self, length: usize, is_wanted: bool) {
        if length < splice::LARGE || !is_wanted {
            self.pipe = None;
        } else if self.pipe.is_none() {
            // Without descriptors bytes go on being copied.
            self.pipe = Pipe::new().ok();
        }
    }

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
                let room = if self.pipe.is_some() { most.min(self.buffer.len()) } else { self.buffer.len() };
                read(self.lane, &mut self.buffer[..room]).await?
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
        match stream.try_take(place) {
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
