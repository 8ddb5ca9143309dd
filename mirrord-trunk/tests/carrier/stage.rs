//! Two ends of a trunk, and the way between them: loopback sockets whose bytes pass through our hands.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mirrord_trunk::{Dial, Far, FarEvent, FarOptions, Near, NearEvent, NearOptions, Strand};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{Notify, mpsc},
};

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The way between two ends.
pub(crate) struct Way {
    address: std::net::SocketAddr,
    /// After how many bytes of a direction a strand is cut, for the next strands.
    cuts: Mutex<Vec<usize>>,
    /// Nothing gets through, and nobody is told.
    is_black: AtomicBool,
    is_closed: AtomicBool,
    cut_all: Notify,
    pub(crate) n_dialled: AtomicUsize,
}

/// Dials by such a way.
#[derive(Clone)]
pub(crate) struct Dialer(pub(crate) Arc<Way>);

impl Way {
    pub(crate) fn cut_strands_after(&self, cuts: Vec<usize>) {
        *self.cuts.lock().unwrap() = cuts;
    }

    pub(crate) fn cut(&self) {
        self.cut_all.notify_waiters();
    }

    pub(crate) fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, SeqCst);
        if is_closed {
            self.cut();
        }
    }

    pub(crate) fn blacken(&self, is_black: bool) {
        self.is_black.store(is_black, SeqCst);
    }
}

impl Dial for Dialer {
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>> {
        Box::pin(async {
            let way = &self.0;
            if way.is_closed.load(SeqCst) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            way.n_dialled.fetch_add(1, SeqCst);
            let there = TcpStream::connect(way.address).await?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let ours = TcpStream::connect(listener.local_addr()?).await?;
            let (here, _) = listener.accept().await?;
            ours.set_nodelay(true)?;
            here.set_nodelay(true)?;
            there.set_nodelay(true)?;
            tokio::spawn(relay(way.clone(), here, there));
            Ok(Box::new(ours) as Strand)
        })
    }
}

async fn relay(way: Arc<Way>, here: TcpStream, there: TcpStream) {
    let most = way.cuts.lock().unwrap().pop().unwrap_or(usize::MAX);
    let (mut here_read, mut here_write) = here.into_split();
    let (mut there_read, mut there_write) = there.into_split();
    tokio::select! {
        () = carry(&way, &mut here_read, &mut there_write, most) => {}
        () = carry(&way, &mut there_read, &mut here_write, most) => {}
        () = way.cut_all.notified() => {}
    }
}

async fn carry(
    way: &Way,
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    most: usize,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut n_left = most;
    while let Ok(n_read) = from.read(&mut buffer).await {
        let n_passed = n_read.min(n_left);
        n_left -= n_passed;
        let is_black = way.is_black.load(SeqCst);
        if is_black && n_read == 0 {
            // Not even an end gets through.
            return std::future::pending().await;
        }
        if n_read == 0 || (!is_black && to.write_all(&buffer[..n_passed]).await.is_err()) || n_left == 0 {
            return;
        }
    }
}

/// Two ends that stand.
pub(crate) struct Stage {
    pub(crate) way: Arc<Way>,
    pub(crate) near: Near,
    pub(crate) near_events: mpsc::UnboundedReceiver<NearEvent>,
    pub(crate) far: Far,
    pub(crate) far_events: mpsc::UnboundedReceiver<FarEvent>,
}

pub(crate) fn options() -> NearOptions {
    NearOptions { n_strands: 3, patience: Duration::from_secs(20), keep_alive: Duration::from_secs(5) }
}

/// A far end that listens, and a way to it.
pub(crate) async fn far(options: FarOptions) -> (Arc<Way>, Far, mpsc::UnboundedReceiver<FarEvent>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (far, far_events) = Far::new(options);
    let end = far.clone();
    tokio::spawn(async move {
        while let Ok((strand, _)) = listener.accept().await {
            strand.set_nodelay(true).unwrap();
            end.take_in(Box::new(strand));
        }
    });
    let way = Arc::new(Way {
        address,
        cuts: Mutex::default(),
        is_black: AtomicBool::default(),
        is_closed: AtomicBool::default(),
        cut_all: Notify::new(),
        n_dialled: AtomicUsize::new(0),
    });
    (way, far, far_events)
}

impl Stage {
    pub(crate) async fn new(options: NearOptions) -> Self {
        let (way, far, far_events) = far(FarOptions { patience: options.patience }).await;
        let (near, near_events) = Near::connect(Dialer(way.clone()), options).await.unwrap();
        Self { way, near, near_events, far, far_events }
    }

    /// A lane, both ends of it. What is said at the beginning reaches the far end.
    pub(crate) async fn lane(&mut self) -> (UnixStream, UnixStream) {
        let mut near = self.open();
        near.write_all(b"!").await.unwrap();
        let mut far = self.next_lane().await;
        assert_eq!(far.read_u8().await.unwrap(), b'!');
        (near, far)
    }

    pub(crate) fn open(&self) -> UnixStream {
        UnixStream::from_std(self.near.open().unwrap()).unwrap()
    }

    pub(crate) async fn next_lane(&mut self) -> UnixStream {
        loop {
            if let FarEvent::Lane(_, lane) = self.next_far().await {
                return lane;
            }
        }
    }

    pub(crate) async fn next_far(&mut self) -> FarEvent {
        in_time(self.far_events.recv()).await.unwrap()
    }

    pub(crate) async fn next_near(&mut self) -> NearEvent {
        in_time(self.near_events.recv()).await.unwrap()
    }
}

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

/// Bytes that do not repeat for long; each stream begins at another place of them.
fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        words.take(131_101).flat_map(u64::to_le_bytes).collect()
    })
}

/// Bytes of a stream, from this place on.
pub(crate) fn bytes(seed: u64, place: u64, n_bytes: usize) -> Vec<u8> {
    let noise = noise();
    let mut start = usize::try_from((place + seed * 7919) % noise.len() as u64).unwrap();
    let mut bytes = Vec::with_capacity(n_bytes);
    while bytes.len() < n_bytes {
        let end = noise.len().min(start + n_bytes - bytes.len());
        bytes.extend_from_slice(&noise[start..end]);
        start = 0;
    }
    bytes
}

/// Writes so many bytes of a stream in pieces of odd sizes, and ends it.
pub(crate) async fn pour(mut into: impl tokio::io::AsyncWrite + Unpin, seed: u64, n_bytes: u64) {
    let mut place = 0;
    while place < n_bytes {
        let size = 1 + (place.wrapping_mul(0x5851_F42D) >> 7) % 200_000;
        let size = usize::try_from(size.min(n_bytes - place)).unwrap();
        in_time(into.write_all(&bytes(seed, place, size))).await.unwrap();
        place += size as u64;
    }
    into.shutdown().await.unwrap();
}

/// Reads a stream to its end, holds every byte against what it should be, and says how many came.
pub(crate) async fn drink(mut from: impl tokio::io::AsyncRead + Unpin, seed: u64) -> u64 {
    let mut place = 0;
    let mut buffer = vec![0; 100_000];
    loop {
        let n_read = in_time(from.read(&mut buffer)).await.unwrap();
        if n_read == 0 {
            return place;
        }
        assert!(buffer[..n_read] == bytes(seed, place, n_read), "wrong bytes after {place}");
        place += n_read as u64;
    }
}
