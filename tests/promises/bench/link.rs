//! What is measured of a link, by whoever runs it: beside a forwarded port, or as a guest.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a stream is watched, after it has found its pace.
const WINDOW: Duration = Duration::from_secs(3);
/// How long it may take to find it.
const PACE: Duration = Duration::from_millis(1500);

/// One number, in the unit of its row.
pub(crate) fn measure(row: &str) -> f64 {
    match row {
        "link-round-trip" => round_trip() * 1e3,
        "link-connect" => median(20, || drop(connect("BENCH_ECHO"))) * 1e3,
        "link-down" => down(1),
        "link-four" => down(4),
        "link-up" => up(),
        "link-stat" => stat() * 1e3,
        "link-stat-beside" => beside(stat) * 1e3,
        "link-open" => read_16k().0 * 1e3,
        "link-read" => read_16k().1 * 1e3,
        _ => f64::NAN,
    }
}

fn connect(server: &str) -> TcpStream {
    let address = env::var(server).unwrap();
    let stream = TcpStream::connect(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_nodelay(true).unwrap();
    stream
}

fn median(n_times: usize, mut deed: impl FnMut()) -> f64 {
    deed();
    let mut times: Vec<Duration> = (0..n_times)
        .map(|_| {
            let start = Instant::now();
            deed();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn round_trip() -> f64 {
    let mut stream = connect("BENCH_ECHO");
    median(60, || {
        let mut bytes = [7; 64];
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
    })
}

/// So many streams that never end; bytes of all of them in a window of time.
fn down(n_streams: usize) -> f64 {
    let (n_bytes, enough) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = (0..n_streams).map(|_| reader(&n_bytes, &enough)).collect();
    thread::sleep(PACE);
    let (start, before) = (Instant::now(), n_bytes.load(Ordering::Relaxed));
    thread::sleep(WINDOW);
    let rate = rate(n_bytes.load(Ordering::Relaxed) - before, start);
    enough.store(true, Ordering::Relaxed);
    for it in readers {
        it.join().unwrap();
    }
    rate
}

fn reader(n_bytes: &Arc<AtomicU64>, enough: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (n_bytes, enough) = (Arc::clone(n_bytes), Arc::clone(enough));
    thread::spawn(move || {
        let mut stream = connect("BENCH_SOURCE");
        let mut bytes = vec![0; 1 << 18];
        while !enough.load(Ordering::Relaxed) {
            let length = stream.read(&mut bytes).unwrap();
            assert_ne!(length, 0, "the source is dry");
            n_bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
    })
}

/// As many bytes as are promised to the sink, until it says that it has them.
fn up() -> f64 {
    let size: usize = env::var("BENCH_UP").unwrap().parse().unwrap();
    let mut stream = connect("BENCH_SINK");
    let block = vec![1; 1 << 18];
    let start = Instant::now();
    for _ in 0..size / block.len() {
        stream.write_all(&block).unwrap();
    }
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    rate(size as u64, start)
}

fn rate(n_bytes: u64, start: Instant) -> f64 {
    let n_kilobytes = u32::try_from(n_bytes / 1000).unwrap();
    f64::from(n_kilobytes) / 1e3 / start.elapsed().as_secs_f64()
}

/// A file that was never asked for, so that nobody can know it yet.
fn stat() -> f64 {
    let mut names = (0..).map(|number| format!("/bench/{number}"));
    median(20, || assert_eq!(fs::metadata(names.next().unwrap()).unwrap().len(), 16384))
}

/// The same while a download goes on.
fn beside(deed: fn() -> f64) -> f64 {
    let (n_bytes, enough) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let bulk = reader(&n_bytes, &enough);
    thread::sleep(PACE);
    let time = deed();
    enough.store(true, Ordering::Relaxed);
    bulk.join().unwrap();
    time
}

/// How long `open` takes, and how long all that is to be read then.
fn read_16k() -> (f64, f64) {
    let mut times: Vec<(f64, f64)> = (0..15)
        .map(|number| {
            let start = Instant::now();
            let mut file = File::open(format!("/bench/{number}")).unwrap();
            let opened = Instant::now();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), 16384);
            ((opened - start).as_secs_f64(), opened.elapsed().as_secs_f64())
        })
        .collect();
    times.sort_by(|left, right| (left.0 + left.1).total_cmp(&(right.0 + right.1)));
    times[times.len() / 2]
}
