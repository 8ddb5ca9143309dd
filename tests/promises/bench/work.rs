//! What is measured, by whoever runs it: a bare program or a guest.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::fs::FileExt,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const HOST: &str = "10.77.0.2";
const FILE: &str = "/app/templates/7k.html";

/// One number: the median of many, in the unit of its row.
pub(crate) fn measure(row: &str) -> f64 {
    match row {
        "connect" => median(300, 1e6, || drop(connect(7))),
        "round-trip" => {
            let mut call = caller();
            median(3000, 1e6, &mut call)
        }
        "up" => up(256 << 20),
        "down" => down(256 << 20),
        "beside" => beside(),
        "open" => median(1000, 1e6, || {
            let mut bytes = Vec::new();
            File::open(FILE).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), 7168);
        }),
        "bytes" => bytes(),
        "stat" => median(2000, 1e6, || assert_eq!(fs::metadata(FILE).unwrap().len(), 7168)),
        "child" => median(50, 1e6, || assert!(Command::new("/bin/true").status().unwrap().success())),
        _ => f64::NAN,
    }
}

/// The median of the times of many deeds, in parts of a second.
fn median(n_times: usize, parts: f64, mut deed: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = Vec::with_capacity(n_times);
    for _ in 0..n_times / 10 {
        deed();
    }
    for _ in 0..n_times {
        let start = Instant::now();
        deed();
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2].as_secs_f64() * parts
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((HOST, port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A call of 64 bytes, and its answer.
fn caller() -> impl FnMut() {
    let mut stream = connect(7);
    move || {
        let mut bytes = [7; 64];
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
    }
}

fn up(size: usize) -> f64 {
    let mut stream = connect(7006);
    let block = vec![1; 1 << 20];
    let start = Instant::now();
    for _ in 0..size / block.len() {
        stream.write_all(&block).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.trim(), size.to_string());
    rate(size, start)
}

fn down(size: usize) -> f64 {
    let mut stream = connect(19);
    let start = Instant::now();
    stream.write_all(format!("{size}\n").as_bytes()).unwrap();
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let mut n_bytes = 0;
    loop {
        let length = reader.fill_buf().unwrap().len();
        if length == 0 {
            break;
        }
        n_bytes += length;
        reader.consume(length);
    }
    assert_eq!(n_bytes, size);
    rate(size, start)
}

fn rate(size: usize, start: Instant) -> f64 {
    f64::from(u32::try_from(size).unwrap()) / start.elapsed().as_secs_f64() / 1e6
}

/// A call while another stream is busy.
fn beside() -> f64 {
    static ENOUGH: AtomicBool = AtomicBool::new(false);
    let bulk = thread::spawn(|| {
        while !ENOUGH.load(Ordering::Relaxed) {
            down(64 << 20);
        }
    });
    let mut call = caller();
    let time = median(1000, 1e6, &mut call);
    ENOUGH.store(true, Ordering::Relaxed);
    bulk.join().unwrap();
    time
}

/// Reading byte by byte, for each byte.
fn bytes() -> f64 {
    let file = File::open(FILE).unwrap();
    let mut byte = [0];
    let start = Instant::now();
    for _ in 0..20 {
        for at in 0..7168 {
            file.read_exact_at(&mut byte, at).unwrap();
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / (20.0 * 7168.0)
}
