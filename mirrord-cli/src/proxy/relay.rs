//! Carries bytes between a socket here and a lane, and every end of them as what it was.
//!
//! Relays have a thread of their own, so that a large transfer never delays a question. Buffers are borrowed only
//! while there are bytes: a connection that says nothing costs next to nothing.

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
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream, tcp, unix},
    runtime::Handle,
    sync::{Notify, watch},
};

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
    pub(crate) async fn tcp(
        &self,
        mut here: TcpStream,
        mut lane: UnixStream,
        first: &[u8],
        ways: Ways,
        debt: Debt,
    ) {
        abort_at_end(&here, true);
        let (mut here_read, mut here_write) = here.split();
        let (lane_read, mut lane_write) = lane.split();
        let inward = async {
            self.inward(&lane_read, &mut here_write, first).await?;
            // A peer that is gone already is told by its own end.
            drop(here_write.shutdown().await);
            Ok(())
        };
        let outward = async {
            match ways {
                Ways::Both => self.outward(&mut here_read, &mut lane_write, debt).await,
                Ways::Inward => {
                    drop(debt);
                    self.swallow(&mut here_read).await
                }
            }
        };
        match both(inward, outward).await {
            Err(Broken::There) => reset(here).await,
            Ok(()) | Err(Broken::Here) => abort_at_end(&here, false),
        }
    }

    /// The same for a unix socket, which knows no reset: it is closed.
    pub(crate) async fn unix(&self, mut here: UnixStream, mut lane: UnixStream, first: &[u8], debt: Debt) {
        let (mut here_read, mut here_write) = here.split();
        let (lane_read, mut lane_write) = lane.split();
        let inward = async {
            self.inward(&lane_read, &mut here_write, first).await?;
            drop(here_write.shutdown().await);
            Ok(())
        };
        let outward = self.outward(&mut here_read, &mut lane_write, debt);
        drop(both(inward, outward).await);
    }

    /// Relays between the guest and a connection that was passed, but is not of a kind that the guest could have.
    pub(crate) async fn passed(&self, mut here: TcpStream, mut passed: TcpStream, debt: Debt) {
        let ((mut here_read, mut here_write), (mut there_read, mut there_write)) =
            (here.split(), passed.split());
        let inward = async {
            self.copy(&mut there_read, &mut here_write, (Broken::There, Broken::Here)).await?;
            drop(here_write.shutdown().await);
            Ok(())
        };
        let outward = async {
            self.copy(&mut here_read, &mut there_write, (Broken::Here, Broken::There)).await?;
            drop(there_write.shutdown().await);
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
        from: &mut tcp::ReadHalf<'_>,
        to: &mut tcp::WriteHalf<'_>,
        (unreadable, unwritable): (Broken, Broken),
    ) -> Result<(), Broken> {
        let mut buffer = self.buffers.take();
        let end = loop {
            match from.read(&mut buffer).await {
                Ok(0) => break Ok(()),
                Ok(n_read) if to.write_all(&buffer[..n_read]).await.is_err() => break Err(unwritable),
                Ok(_) => drop(self.debts.progress.fetch_add(1, Relaxed)),
                Err(_) => break Err(unreadable),
            }
        };
        self.buffers.give_back(buffer);
        end
    }

    async fn outward(
        &self,
        here: &mut (impl TryRead + AsyncReadExt + Unpin),
        lane: &mut unix::WriteHalf<'_>,
        debt: Debt,
    ) -> Result<(), Broken> {
        loop {
            here.wait().await.map_err(|_| Broken::Here)?;
            let mut buffer = self.buffers.take();
            loop {
                let chunk = match here.try_take(&mut buffer[HEADER..HEADER + MAX_CHUNK]) {
                    Ok(0) => Chunk::Finished,
                    Ok(n_read) => Chunk::Data(n_read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => Chunk::Broken(error.raw_os_error().unwrap_or(libc::ECONNRESET)),
                };
                buffer[..HEADER].copy_from_slice(&chunk.encode());
                let length = HEADER + if let Chunk::Data(n_read) = chunk { n_read } else { 0 };
                lane.write_all(&buffer[..length]).await.map_err(|_| Broken::There)?;
                debt.0.progress.fetch_add(1, Relaxed);
                match chunk {
                    // Less than there was room for: most likely there is no more, and asking costs a call.
                    Chunk::Data(n_read) if n_read < MAX_CHUNK => break,
                    // Others wait: a stream that never has to would keep the thread to itself.
                    Chunk::Data(_) => tokio::task::yield_now().await,
                    Chunk::Finished => {
                        self.buffers.give_back(buffer);
                        return Ok(());
                    }
                    Chunk::Broken(_) => return Err(Broken::Here),
                }
            }
            self.buffers.give_back(buffer);
        }
    }

    async fn inward(
        &self,
        lane: &unix::ReadHalf<'_>,
        here: &mut (impl AsyncWrite + Unpin),
        first: &[u8],
    ) -> Result<(), Broken> {
        let mut parser = ChunkParser::default();
        if parser.pass_on(first, here).await? {
            return Ok(());
        }
        loop {
            lane.readable().await.map_err(|_| Broken::There)?;
            let mut buffer = self.buffers.take();
            loop {
                match lane.try_read(&mut buffer) {
                    // An end that nobody announced.
                    Ok(0) => return Err(Broken::There),
                    Ok(n_read) => {
                        if parser.pass_on(&buffer[..n_read], here).await? {
                            self.buffers.give_back(buffer);
                            return Ok(());
                        }
                        if n_read < buffer.len() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => return Err(Broken::There),
                }
            }
            self.buffers.give_back(buffer);
        }
    }

    async fn swallow(&self, here: &mut tcp::ReadHalf<'_>) -> Result<(), Broken> {
        loop {
            here.wait().await.map_err(|_| Broken::Here)?;
            let mut buffer = self.buffers.take();
            let taken = here.try_take(&mut buffer);
            self.buffers.give_back(buffer);
            match taken {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(Broken::Here),
                _ => {}
            }
        }
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

/// Where in the chunks of a lane we are.
#[derive(Default)]
struct ChunkParser {
    header: [u8; HEADER],
    n_header: usize,
    n_left: usize,
}

impl ChunkParser {
    /// Passes on what of these bytes is data; tells whether the other side has finished.
    async fn pass_on(
        &mut self,
        mut bytes: &[u8],
        here: &mut (impl AsyncWrite + Unpin),
    ) -> Result<bool, Broken> {
        while !bytes.is_empty() {
            if self.n_left > 0 {
                let (data, rest) = bytes.split_at(self.n_left.min(bytes.len()));
                here.write_all(data).await.map_err(|_| Broken::Here)?;
                self.n_left -= data.len();
                bytes = rest;
                continue;
            }
            self.header[self.n_header] = bytes[0];
            self.n_header += 1;
            bytes = &bytes[1..];
            if self.n_header == HEADER {
                self.n_header = 0;
                match Chunk::parse(self.header) {
                    Ok(Chunk::Data(length)) => self.n_left = length,
                    Ok(Chunk::Finished) => return Ok(true),
                    Ok(Chunk::Broken(_)) | Err(_) => return Err(Broken::There),
                }
            }
        }
        Ok(false)
    }
}

/// A side from which bytes are taken without a wait.
trait TryRead {
    async fn wait(&self) -> io::Result<()>;
    fn try_take(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

macro_rules! try_read {
    ($half:ty) => {
        impl TryRead for $half {
            async fn wait(&self) -> io::Result<()> {
                self.readable().await
            }

            fn try_take(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.try_read(buffer)
            }
        }
    };
}

try_read!(tcp::ReadHalf<'_>);
try_read!(unix::ReadHalf<'_>);

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
