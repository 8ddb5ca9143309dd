//! Connections, by whoever is the client; and the server, which is a guest where its port is stolen.
//!
//! The first byte of a connection says what is wanted: `e` an echo, `u` to take all and tell how much it was, `d` and a
//! number so many bytes, `G` an answer for each request.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use super::{median, rate};

/// How much goes over, in all.
const BULK: usize = 256 << 20;

const BODY: &str = "a short answer, as services give them\n";

/// How many clients ask for documents at once, and how often in all.
const N_CLIENTS: usize = 8;
const N_REQUESTS: usize = 8000;
const N_FRESH: usize = 800;

/// How many connections are served at once.
const N_SERVERS: usize = 32;

/// The number of a row, if it is one of these.
pub(super) fn measure(row: &str, address: &str) -> Option<f64> {
    Some(match row {
        "connect" => median(300, 1e6, || drop(connect(address, b""))),
        "call" => median(300, 1e6, || caller(address)()),
        "round-trip" => median(3000, 1e6, caller(address)),
        "up" => side_by_side(1, address, up),
        "up-16" => side_by_side(16, address, up),
        "down" => side_by_side(1, address, down),
        "down-16" => side_by_side(16, address, down),
        "beside" => beside(address),
        "http" => requests(N_REQUESTS, address, true),
        "http-fresh" => requests(N_FRESH, address, false),
        _ => return None,
    })
}

fn connect(address: &str, wish: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(wish).unwrap();
    stream
}

/// A call of 64 bytes, and its answer.
fn caller(address: &str) -> impl FnMut() + use<> {
    let mut stream = connect(address, b"e");
    move || {
        let mut bytes = [7; 64];
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
    }
}

/// So many streams at once, in all, once all are connected.
fn side_by_side(n_streams: usize, address: &str, deed: fn(&mut TcpStream, usize)) -> f64 {
    let ready = Barrier::new(n_streams);
    thread::scope(|scope| {
        let streams: Vec<_> = (0..n_streams)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = connect(address, b"");
                    ready.wait();
                    let start = Instant::now();
                    deed(&mut stream, BULK / n_streams);
                    start
                })
            })
            .collect();
        // Whoever waits for them may be the last to run.
        let starts: Vec<_> = streams.into_iter().map(|it| it.join().unwrap()).collect();
        rate(BULK, starts.into_iter().min().unwrap())
    })
}

fn up(stream: &mut TcpStream, size: usize) {
    stream.write_all(b"u").unwrap();
    let block = vec![1; 1 << 18];
    for _ in 0..size / block.len() {
        stream.write_all(&block).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, size.to_string());
}

fn down(stream: &mut TcpStream, size: usize) {
    stream.write_all(format!("d{size}\n").as_bytes()).unwrap();
    let mut bytes = vec![0; 1 << 18];
    let mut n_bytes = 0;
    while n_bytes < size {
        let length = stream.read(&mut bytes).unwrap();
        assert_ne!(length, 0, "{n_bytes} of {size} have come");
        n_bytes += length;
    }
}

/// A call while another stream is busy.
fn beside(address: &str) -> f64 {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                down(&mut connect(address, b""), 64 << 20);
            }
        });
        let time = median(1000, 1e6, caller(address));
        enough.store(true, Ordering::Relaxed);
        time
    })
}

/// Documents in a second.
fn requests(n_requests: usize, address: &str, keeps: bool) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..N_CLIENTS {
            scope.spawn(|| {
                let mut kept = None;
                for _ in 0..n_requests / N_CLIENTS {
                    let mut connection = kept.take().unwrap_or_else(|| BufReader::new(connect(address, b"")));
                    request(&mut connection);
                    kept = keeps.then_some(connection);
                }
            });
        }
    });
    f64::from(u32::try_from(n_requests).unwrap()) / start.elapsed().as_secs_f64()
}

fn request(connection: &mut BufReader<TcpStream>) {
    connection.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n").unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(connection.read_line(&mut line).unwrap(), 0, "the answer is not whole");
    }
    let mut body = vec![0; BODY.len()];
    connection.read_exact(&mut body).unwrap();
}

/// Answers on a port, until it is ended; calls `ready` when it listens.
pub(crate) fn serve(port: u16, ready: impl FnOnce()) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    ready();
    // Threads are there before anybody comes: to make one costs more than most of what is measured.
    thread::scope(|scope| {
        for _ in 0..N_SERVERS {
            scope.spawn(|| {
                for stream in listener.incoming() {
                    // A client that goes early is none of ours.
                    drop(converse(stream.unwrap()));
                }
            });
        }
    });
}

fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wish = [0];
    stream.read_exact(&mut wish)?;
    let mut bytes = vec![0; if wish == *b"u" { 1 << 18 } else { 1 << 10 }];
    match &wish {
        b"e" => loop {
            match stream.read(&mut bytes)? {
                0 => return Ok(()),
                length => stream.write_all(&bytes[..length])?,
            }
        },
        b"u" => {
            let mut n_bytes = 0;
            loop {
                match stream.read(&mut bytes)? {
                    0 => return stream.write_all(n_bytes.to_string().as_bytes()),
                    length => n_bytes += length,
                }
            }
        }
        b"d" => give(&mut stream),
        _ => answer_requests(stream),
    }
}

fn give(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::with_capacity(32, &mut *stream).read_line(&mut line)?;
    let mut left: usize = line.trim().parse().map_err(std::io::Error::other)?;
    let block = vec![1; left.min(1 << 18)];
    while left > 0 {
        let length = left.min(block.len());
        stream.write_all(&block[..length])?;
        left -= length;
    }
    Ok(())
}

fn answer_requests(mut stream: TcpStream) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line)? {
            0 => return Ok(()),
            2 => stream.write_all(answer.as_bytes())?,
            _ => {}
        }
    }
}
