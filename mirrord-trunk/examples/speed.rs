//! How fast a trunk is against a bare socket: `cargo run --release -p mirrord-trunk --example speed`.
//!
//! Both ends live in one process, in a runtime of one thread each, as proxy and agent do.

#![allow(clippy::unwrap_used, reason = "a number that cannot be had is none")]
#![expect(clippy::print_stdout, reason = "a bench speaks")]

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::mpsc,
    time::{Duration, Instant},
};

use mirrord_trunk::{Dial, Far, FarEvent, FarOptions, Near, NearOptions, Strand};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    runtime::{Builder, Runtime},
};

struct Tcp(SocketAddr);

impl Dial for Tcp {
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>> {
        Box::pin(async {
            let stream = TcpStream::connect(self.0).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Strand)
        })
    }
}

const BULK: usize = 256 << 20;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().event_interval(4).build().unwrap()
}

/// Answers whoever comes: `e` echoes pieces of 64 bytes, `u` swallows bulk and says so, `d` sends it.
async fn answer(mut lane: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    match lane.read_u8().await? {
        b'e' => {
            let mut word = [0; 64];
            loop {
                lane.read_exact(&mut word).await?;
                lane.write_all(&word).await?;
            }
        }
        b'u' => {
            swallow(&mut lane).await?;
            lane.write_all(b"!").await
        }
        _ => pour(&mut lane).await,
    }
}

async fn pour(lane: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let piece = vec![7; 256 << 10];
    for _ in 0..BULK / piece.len() {
        lane.write_all(&piece).await?;
    }
    Ok(())
}

async fn swallow(lane: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut place = vec![0; 256 << 10];
    let mut n_bytes = 0;
    while n_bytes < BULK {
        n_bytes += lane.read(&mut place).await?;
    }
    Ok(())
}

/// The far side, in a thread of its own. One address speaks trunk, the other is bare.
fn far() -> (SocketAddr, SocketAddr) {
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let trunk = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let bare = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tx.send((trunk.local_addr().unwrap(), bare.local_addr().unwrap())).unwrap();
            let (far, mut events) = Far::new(FarOptions::default());
            loop {
                tokio::select! {
                    Ok((strand, _)) = trunk.accept() => {
                        strand.set_nodelay(true).unwrap();
                        far.take_in(Box::new(strand));
                    }
                    Ok((stream, _)) = bare.accept() => {
                        stream.set_nodelay(true).unwrap();
                        tokio::spawn(answer(stream));
                    }
                    Some(event) = events.recv() => if let FarEvent::Lane(_, lane) = event {
                        tokio::spawn(answer(lane));
                    },
                }
            }
        });
    });
    rx.recv().unwrap()
}

async fn up(mut lane: impl AsyncRead + AsyncWrite + Unpin) {
    lane.write_all(b"u").await.unwrap();
    pour(&mut lane).await.unwrap();
    lane.read_u8().await.unwrap();
}

async fn down(mut lane: impl AsyncRead + AsyncWrite + Unpin) {
    lane.write_all(b"d").await.unwrap();
    swallow(&mut lane).await.unwrap();
}

async fn trips(mut lane: impl AsyncRead + AsyncWrite + Unpin, n_times: usize) -> Duration {
    lane.write_all(b"e").await.unwrap();
    let mut times = Vec::with_capacity(n_times);
    for _ in 0..n_times {
        let start = Instant::now();
        lane.write_all(&[1; 64]).await.unwrap();
        lane.read_exact(&mut [0; 64]).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    times[n_times / 2]
}

async fn speed(n_streams: usize, work: impl Future<Output = ()>) -> u64 {
    let start = Instant::now();
    work.await;
    u64::try_from((BULK * n_streams) as u128 * 1000 / (start.elapsed().as_nanos().max(1))).unwrap()
}

fn open(near: &Near) -> UnixStream {
    UnixStream::from_std(near.open().unwrap()).unwrap()
}

async fn measure(trunk: SocketAddr, bare: SocketAddr) {
    let direct = async || {
        let stream = TcpStream::connect(bare).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    for _ in 0..3 {
        println!(
            "bare socket:         up {:>5} MB/s, down {:>5} MB/s, round trip {:?}",
            speed(1, up(direct().await)).await,
            speed(1, down(direct().await)).await,
            trips(direct().await, 5000).await
        );
        for n_strands in [1, 2, 4] {
            let options = NearOptions { n_strands, ..NearOptions::default() };
            let (near, _events) = Near::connect(Tcp(trunk), options).await.unwrap();
            // Until the other strands stand.
            trips(open(&near), 1000).await;
            let (up, down) = (speed(1, up(open(&near))).await, speed(1, down(open(&near))).await);
            let idle = trips(open(&near), 5000).await;
            let four = async {
                tokio::join!(down_of(&near), down_of(&near), down_of(&near), down_of(&near));
            };
            let four = speed(4, four).await;
            let bulk = tokio::spawn(down_of_owned(open(&near)));
            let beside = trips(open(&near), 200).await;
            let was_beside = !bulk.is_finished();
            bulk.await.unwrap();
            println!(
                "trunk of {n_strands} strands:  up {up:>5} MB/s, down {down:>5} MB/s, round trip {idle:?}, \
                 four down {four:>5} MB/s, round trip beside bulk {beside:?} ({was_beside})"
            );
            near.part();
        }
    }
}

async fn down_of(near: &Near) {
    down(open(near)).await;
}

async fn down_of_owned(lane: UnixStream) {
    down(lane).await;
}

fn main() {
    let (trunk, bare) = far();
    runtime().block_on(measure(trunk, bare));
}
