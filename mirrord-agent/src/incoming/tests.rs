//! The carriers against a real kernel, each story in a user and network namespace of its own.

mod leave;
mod mirror;
mod namespace;
mod steal;

use std::{net::SocketAddr, time::Duration};

use mirrord_protocol::{
    agent::incoming::{Arrival, Port, SubscribeCall, Wish},
    id::ClientId,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::*;

const ANN: ClientId = ClientId(1);
const BEN: ClientId = ClientId(2);

/// Long enough for the slowest machine; nothing waits for it when all is well.
const DEADLINE: Duration = Duration::from_secs(30);

/// An agent's traffic, with what it tells.
struct Agent {
    incoming: Incoming,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Agent {
    fn start() -> Self {
        let (events_tx, events) = mpsc::unbounded_channel();
        Self { incoming: Incoming::start(events_tx), events }
    }

    async fn subscribe(&self, client: ClientId, port: Port, wish: Wish, pass: bool) -> Result<(), Fault> {
        let call = SubscribeCall { port, wish, pass };
        self.incoming.subscribe(client, format!("client {client}"), call).await
    }

    async fn steal(&self, port: Port, pass: bool) {
        self.subscribe(ANN, port, Wish::Steal, pass).await.unwrap();
    }

    async fn mirror(&self, port: Port) {
        self.subscribe(BEN, port, Wish::Mirror, false).await.unwrap();
    }

    async fn arrival(&mut self) -> (ClientId, Arrival, Option<OwnedFd>) {
        loop {
            match soon(self.events.recv()).await.unwrap() {
                Event::Arrival { client, arrival, socket } => return (client, arrival, socket),
                Event::Log { line, .. } => namespace::report(&line.text),
            }
        }
    }

    /// The next arrival, which must be passed.
    async fn stolen(&mut self) -> (Arrival, TcpStream) {
        let (_, arrival, socket) = self.arrival().await;
        (arrival, stream(socket.expect("a passed connection")))
    }

    /// The next arrival, which must be mirrored.
    async fn heard(&mut self) -> (Arrival, Hearing) {
        let (client, arrival, _) = self.arrival().await;
        assert_eq!(arrival.wish, Wish::Mirror);
        match self.incoming.take_arrival(client, arrival.id).await.unwrap() {
            Taken::Mirrored(hearing) => (arrival, hearing),
            Taken::Stolen(_) => panic!("a mirrored connection was stolen"),
        }
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it took too long")
}

fn stream(socket: OwnedFd) -> TcpStream {
    let stream = std::net::TcpStream::from(socket);
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

async fn listen(ip: &str) -> (TcpListener, Port) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = Port(listener.local_addr().unwrap().port());
    (listener, port)
}

async fn connect(to: SocketAddr) -> TcpStream {
    soon(TcpStream::connect(to)).await.unwrap()
}

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    text
}

/// Says a word and closes.
async fn say(mut stream: TcpStream, word: &str) {
    soon(stream.write_all(word.as_bytes())).await.unwrap();
    soon(stream.shutdown()).await.unwrap();
    // Reads on, so that the close is no reset.
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
}

/// Everything that is heard, and how it ended.
async fn hear(mut hearing: Hearing) -> (Vec<u8>, Heard) {
    let mut bytes = Vec::new();
    loop {
        match soon(hearing.next()).await.expect("an end") {
            Heard::Bytes(piece) => bytes.extend_from_slice(&piece),
            end => return (bytes, end),
        }
    }
}

/// Bytes that do not repeat soon.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
