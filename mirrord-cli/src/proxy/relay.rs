//! Carries bytes between a socket here and a lane, and every end of them as what it was.
//!
//! Relays have a thread of their own, so that a large transfer never delays a question. Buffers are borrowed only
//! while there are bytes: a connection that says nothing costs next to nothing.

mod parse;
mod side;

use std::{
    io,
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use mirrord_protocol::chunk::{Chunk, HEADER, MAX_CHUNK};
use mirrord_trunk::{
    socket::Socket,
    splice::{self, Pipe},
};
use rustix::net::Shutdown;
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
    runtime::Handle,
    sync::{Notify, watch},
};

use parse::ChunkParser;
use side::{give_all, write_all};

/// How many unused buffers are kept.
const SPARE_BUFFERS: usize = 16;

/// How long a reset waits for the bytes before it to reach their reader.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// How long bytes may not move before they are given up.
const STALL: Duration = Duration::from_secs(60);

/// The thread on which relays run. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Relays {
    handle: Handle,
    buffers: Arc<Buffers>,
    debts: Arc<Debts>,
    stop: Arc<Notify>,
}

/// What guests have written, or may have, and the agent does not have yet.
#[derive(Debug, Default)]
struct Debts {
    n_streams: watch::Sender<usize>,
    /// Changes while bytes move.
    progress: AtomicUsize,
}

/// A stream of which not everything that its guest wrote has been handed over.
#[derive(Debug)]
pub(crate) struct Debt(Arc<Debts>);

impl Drop for Debt {
    fn drop(&mut self) {
        self.0.n_streams.send_modify(|n_streams| *n_streams -= 1);
    }
}

/// Which ways the bytes of a stream go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// There and back.
    Both,
    /// Only from there; what is said here is dropped.
    Inward,
}

/// Why a stream ended before both sides had finished.
enum Broken {
    /// The socket here broke, or the lane cannot be written any more: the far side is told by the lane's end.
    Here,
    /// The far side broke.
    There,
}

impl Relays {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // A small call beside a bulk transfer is seen after at most so many pieces of it.
            .event_interval(4)
            .build()?;
        let handle = runtime.handle().clone();
        // A time that comes later than the next one wakes no runtime: connects have long ones.
        handle.spawn(async {
            let mut tick = tokio::time::interval(Duration::from_secs(60));
            loop {
                tick.tick().await;
            }
        });
        let stop = Arc::<Notify>::default();
        let stopped = stop.clone();
        thread::Builder::new().name("relays".into()).spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self { handle, buffers: Arc::default(), debts: Arc::default(), stop })
    }

    /// Makes something that belongs to that thread, from any other.
    pub(crate) fn within<T>(&self, make: impl FnOnce() -> T) -> T {
        let _entered = self.handle.enter();
        make()
    }

    /// From now on the session does not end before what a guest writes to a stream has been handed over.
    pub(crate) fn owe(&self) -> Debt {
        self.debts.n_streams.send_modify(|n_streams| *n_streams += 1);
        Debt(self.debts.clone())
    }

    /// Waits until everything has been handed over, or nothing moves any more; then closes what is left.
    pub(crate) async fn finish(&self) {
        let mut n_streams = self.debts.n_streams.subscribe();
        let mut progress = self.debts.progress.load(Relaxed);
        while tokio::time::timeout(STALL, n_streams.wait_for(|n_streams| *n_streams == 0)).await.is_err() {
            let now = self.debts.progress.load(Relaxed);
            if now == progress {
                tracing::warn!("what guests have written does not move any more");
                break;
            }
            progress = now;
        }
        self.stop.notify_one();
    }

    /// Runs something on that thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// Relays until both sides have finished or one is broken. `first` are bytes of the lane that were read already.
    pub(crate) async fn tcp(&self, here: TcpStream, lane: UnixStream, first: &[u8], ways: Ways, debt: Debt) {
        abort_at_end(&here, true);
        let inward = async {
            self.inward(&lane, &here, first).await?;
            // A peer that is gone already is told by its own end.
            let _ = rustix::net::shutdown(&here, Shutdown::Write);
            Ok(())
        };
        let outward = async {
            match ways {
                Ways::Both => self.outward(&here, &lane, debt).await,
                Ways::Inward => {
                    drop(debt);
                    self.swallow(&here).await
                }
            }
        };
        match both(inward, outward).await {
            Err(Broken::There) => reset(here).await,
            Ok(()) | Err(Broken::Here) => abort_at_end(&here, false),
        }
    }

    /// The same for a unix socket, which knows no reset: it is closed.
    pub(crate) async fn unix(&self, here: UnixStream, lane: UnixStream, first: &[u8], debt: Debt) {
        let inward = async {
            self.inward(&lane, &here, first).await?;
            let _ = rustix::net::shutdown(&here, Shutdown::Write);
            Ok(())
        };
        let outward = self.outward(&here, &lane, debt);
        drop(both(inward, outward).await);
    }

    /// Relays between the guest and a connection that was passed, but is not of a kind that the guest could have.
    pub(crate) async fn passed(&self, here: TcpStream, passed: TcpStream, debt: Debt) {
        let inward = async {
            self.copy(&passed, &here, (Broken::There, Broken::Here)).await?;
            let _ = rustix::net::shutdown(&here, Shutdown::Write);
            Ok(())
        };
        let outward = async {
            self.copy(&here, &passed, (Broken::Here, Broken::There)).await?;
            let _ = rustix::net::shutdown(&passed, Shutdown::Write);
            drop(debt);
            Ok(())
        };
        match both(inward, outward).await {
            Ok(()) => {}
            Err(Broken::Here) => reset(passed).await,
            Err(Broken::There) => reset(here).await,
        }
    }

    async fn copy(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        (unreadable, unwritable): (Broken, Broken),
    ) -> Result<(), Broken> {
        let mut buffer = self.buffers.take();
        let end = loop {
            match from.try_take(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n_read) if write_all(to, &buffer[..n_read]).await.is_err() => break Err(unwritable),
                Ok(_) => drop(self.debts.progress.fetch_add(1, Relaxed)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if from.readable().await.is_err() {
                        break Err(unreadable);
                    }
                }
                Err(_) => break Err(unreadable),
            }
        };
        self.buffers.give_back(buffer);
        end
    }

    async fn outward(&self, here: &impl Socket, lane: &UnixStream, debt: Debt) -> Result<(), Broken> {
        let mut pipe = None;
        loop {
            here.readable().await.map_err(|_| Broken::Here)?;
            let next = match &mut pipe {
                None => self.outward_copied(here, lane, &debt).await?,
                Some(pipe) => outward_spliced(pipe, here, lane, &debt).await?,
            };
            match next {
                Next::Wait => {}
                // Without descriptors bytes go on being copied.
                Next::Large => pipe = Pipe::new().ok(),
                Next::Small => pipe = None,
                Next::Finished => return Ok(()),
            }
        }
    }

    /// Passes on what there is.
    async fn outward_copied(
        &self,
        here: &impl Socket,
        lane: &UnixStream,
        debt: &Debt,
    ) -> Result<Next, Broken> {
        let mut buffer = self.buffers.take();
        let chunk = match here.try_take(&mut buffer[HEADER..HEADER + MAX_CHUNK]) {
            Ok(n_read) => data_or_end(n_read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.buffers.give_back(buffer);
                return Ok(Next::Wait);
            }
            Err(error) => Chunk::Broken(error.raw_os_error().unwrap_or(libc::ECONNRESET)),
        };
        buffer[..HEADER].copy_from_slice(&chunk.encode());
        let length = HEADER + if let Chunk::Data(n_read) = chunk { n_read } else { 0 };
        let written = write_all(lane, &buffer[..length]).await;
        self.buffers.give_back(buffer);
        written.map_err(|_| Broken::There)?;
        debt.0.progress.fetch_add(1, Relaxed);
        match chunk {
            Chunk::Data(MAX_CHUNK) => {
                // Others wait: a stream that never has to would keep the thread to itself.
                tokio::task::yield_now().await;
                Ok(Next::Large)
            }
            Chunk::Data(_) => Ok(Next::Wait),
            Chunk::Finished => Ok(Next::Finished),
            Chunk::Broken(_) => Err(Broken::Here),
        }
    }

    async fn inward(&self, lane: &UnixStream, here: &impl Socket, first: &[u8]) -> Result<(), Broken> {
        let mut parser = ChunkParser::default();
        if parser.pass_on(first, here).await? {
            return Ok(());
        }
        let mut pipe = None;
        loop {
            lane.readable().await.map_err(|_| Broken::There)?;
            let next = match &mut pipe {
                None => self.inward_copied(lane, here, &mut parser).await?,
                Some(pipe) => inward_spliced(pipe, lane, here, &mut parser).await?,
            };
            match next {
                Next::Wait => {}
                Next::Large => pipe = Pipe::new().ok(),
                Next::Small => pipe = None,
                Next::Finished => return Ok(()),
            }
        }
    }

    async fn inward_copied(
        &self,
        lane: &UnixStream,
        here: &impl Socket,
        parser: &mut ChunkParser,
    ) -> Result<Next, Broken> {
        let mut buffer = self.buffers.take();
        let next = match lane.try_take(&mut buffer) {
            // An end that nobody announced.
            Ok(0) => Err(Broken::There),
            Ok(n_read) => match parser.pass_on(&buffer[..n_read], here).await {
                Ok(true) => Ok(Next::Finished),
                Ok(false) if n_read == buffer.len() => {
                    tokio::task::yield_now().await;
                    Ok(Next::Large)
                }
                Ok(false) => Ok(Next::Wait),
                Err(broken) => Err(broken),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Next::Wait),
            Err(_) => Err(Broken::There),
        };
        self.buffers.give_back(buffer);
        next
    }

    async fn swallow(&self, here: &TcpStream) -> Result<(), Broken> {
        loop {
            here.readable().await.map_err(|_| Broken::Here)?;
            let mut buffer = self.buffers.take();
            let taken = here.try_read(&mut buffer);
            self.buffers.give_back(buffer);
            match taken {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(Broken::Here),
                _ => {}
            }
        }
    }
}

/// What comes next of a direction.
enum Next {
    /// Bytes, or an end.
    Wait,
    /// Much, as it seems: it shall go uncopied.
    Large,
    /// Little: that is copied sooner.
    Small,
    /// Nothing.
    Finished,
}

fn data_or_end(n_read: usize) -> Chunk {
    if n_read == 0 { Chunk::Finished } else { Chunk::Data(n_read) }
}

/// Passes on a chunk of what there is, uncopied.
async fn outward_spliced(
    pipe: &mut Pipe,
    here: &impl Socket,
    lane: &UnixStream,
    debt: &Debt,
) -> Result<Next, Broken> {
    let chunk = match here.try_do(Interest::READABLE, || pipe.take(here, MAX_CHUNK)) {
        Ok(n_taken) => data_or_end(n_taken),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
        Err(error) => Chunk::Broken(error.raw_os_error().unwrap_or(libc::ECONNRESET)),
    };
    write_all(lane, &chunk.encode()).await.map_err(|_| Broken::There)?;
    give_all(pipe, lane).await.map_err(|_| Broken::There)?;
    debt.0.progress.fetch_add(1, Relaxed);
    match chunk {
        Chunk::Data(n_taken) => {
            tokio::task::yield_now().await;
            Ok(if n_taken < splice::LARGE { Next::Small } else { Next::Wait })
        }
        Chunk::Finished => Ok(Next::Finished),
        Chunk::Broken(_) => Err(Broken::Here),
    }
}

/// The same from a lane: what a chunk has left, or the header of the next one.
async fn inward_spliced(
    pipe: &mut Pipe,
    lane: &UnixStream,
    here: &impl Socket,
    parser: &mut ChunkParser,
) -> Result<Next, Broken> {
    let outcome = if parser.n_left > 0 {
        lane.try_io(Interest::READABLE, || pipe.take(lane, parser.n_left))
    } else {
        let mut header = [0; HEADER];
        let read = UnixStream::try_read(lane, &mut header[parser.n_header..]);
        if let Ok(n_read @ 1..) = read {
            let from = parser.n_header;
            if parser.pass_on(&header[from..from + n_read], here).await? {
                return Ok(Next::Finished);
            }
            let is_small = parser.n_header == 0 && parser.n_left < splice::LARGE;
            return Ok(if is_small { Next::Small } else { Next::Wait });
        }
        read
    };
    match outcome {
        Ok(0) => Err(Broken::There),
        Ok(n_taken) => {
            parser.n_left -= n_taken;
            give_all(pipe, here).await.map_err(|_| Broken::Here)?;
            tokio::task::yield_now().await;
            Ok(Next::Wait)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Next::Wait),
        Err(_) => Err(Broken::There),
    }
}

/// Goes both ways until both have ended. That a guest takes nothing more does not mean that it has said all.
async fn both(
    inward: impl Future<Output = Result<(), Broken>>,
    outward: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Broken> {
    let inward = async {
        match inward.await {
            Err(Broken::Here) => Ok(Err(Broken::Here)),
            Err(Broken::There) => Err(Broken::There),
            Ok(()) => Ok(Ok(())),
        }
    };
    tokio::try_join!(inward, outward).and_then(|(taken, ())| taken)
}

/// Closes a connection so that its peer sees it broken, after the bytes that came before have been taken.
pub(crate) async fn reset(stream: TcpStream) {
    let since = Instant::now();
    while n_unacknowledged(&stream) > 0 && since.elapsed() < LAST_BYTES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    abort(stream);
}

/// Closes a connection so that its peer sees it broken, at once.
pub(crate) fn abort(stream: TcpStream) {
    abort_at_end(&stream, true);
    drop(stream);
}

/// Whether the end of a connection is a reset, whoever closes it: also the kernel, for a proxy that was killed. What
/// has been cut off must not look like what was said to the end.
fn abort_at_end(stream: &TcpStream, aborts: bool) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, aborts.then_some(Duration::ZERO));
}

/// How many sent bytes the peer's kernel has not acknowledged.
fn n_unacknowledged(stream: impl AsFd) -> libc::c_int {
    use std::os::fd::AsRawFd;
    let mut n_queued: libc::c_int = 0;
    // SAFETY: the kernel writes one int to where the pointer points.
    let result = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut n_queued) };
    if result == 0 { n_queued } else { 0 }
}

/// Buffers that are in nobody's use.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Box<[u8]>>>);

impl Buffers {
    fn take(&self) -> Box<[u8]> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; 2 * (HEADER + MAX_CHUNK)].into_boxed_slice())
    }

    fn give_back(&self, buffer: Box<[u8]>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
    }
}
