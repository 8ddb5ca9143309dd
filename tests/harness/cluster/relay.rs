//! A relay in front of a server, which delays what passes, or cuts it off.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// So many pieces are on the way at most: with their size, more than any link here holds.
const N_PIECES: usize = 4096;

/// A relay; it goes with the story.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: Mutex<Vec<TcpStream>>,
    is_closed: AtomicBool,
    n_refused: AtomicUsize,
}

impl Relay {
    /// A relay to `server`, which delays each direction by so much.
    ///
    /// # Panics
    /// When there is no such server.
    #[must_use]
    pub fn start(server: &str, delay: Duration) -> Self {
        let server = server.to_socket_addrs().unwrap().next().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&relay.state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if state.is_closed.load(Ordering::Relaxed) {
                    state.n_refused.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let state = Arc::clone(&state);
                thread::spawn(move || connect(&state, client, server, delay));
            }
        });
        relay
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections it has not taken.
    #[must_use]
    pub fn n_refused(&self) -> usize {
        self.state.n_refused.load(Ordering::Relaxed)
    }

    /// From now on it takes no connection, or takes them again.
    pub fn close(&self, is_closed: bool) {
        self.state.is_closed.store(is_closed, Ordering::Relaxed);
    }
}

fn connect(state: &State, client: TcpStream, server: SocketAddr, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        state.streams.lock().unwrap().push(stream.try_clone()?);
    }
    let (up, down) = (pass(client.try_clone()?, server.try_clone()?, delay), pass(server, client, delay));
    let _ = (up.join(), down.join());
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) -> thread::JoinHandle<io::Result<()>> {
    let (pieces_tx, pieces_rx) = mpsc::sync_channel::<(Instant, Vec<u8>)>(N_PIECES);
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let length = from.read(&mut bytes).unwrap_or(0);
            // An empty piece is the end, which travels as long as the rest.
            let piece = (Instant::now() + delay, bytes[..length].to_vec());
            if pieces_tx.send(piece).is_err() || length == 0 {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in pieces_rx {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if piece.is_empty() {
                return to.shutdown(Shutdown::Write);
            }
            to.write_all(&piece)?;
        }
        Ok(())
    })
}
