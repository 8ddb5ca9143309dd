//! Streams that begin here and go on from there: the proxied data path of TCP and unix sockets.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mirrord_core::{addr, proxy::records::Records};
use mirrord_protocol::{
    agent::{
        LaneOpen,
        outgoing::{ConnectCall, Connected, Destination, UnixName},
    },
    fault::Fault,
    frame::FrameReader,
    id::SocketInode,
    proxy::sockets::SocketAnswer,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UnixStream},
    sync::{oneshot, watch},
};

use super::{
    agent::Agent,
    lane, plug,
    queries::Queries,
    relay::{self, Debt, Relays, Ways},
};

/// How long a connection may wait for its question, and a question for its connection.
const MEETING_TIME: Duration = Duration::from_secs(10);

/// How long an agent may say nothing of a connect: longer than its kernel tries (`tcp_syn_retries`).
const CONNECT_TIME: Duration = Duration::from_secs(180);

/// How many connections may wait for their question.
const N_STRANGERS: usize = 1024;

/// Of how many sockets it is remembered where they went.
const N_REMEMBERED: usize = 16 << 10;

/// Outgoing streams. Clones are the same.
#[derive(Clone)]
pub(crate) struct Outgoing {
    agent: Agent,
    relays: Relays,
    address: SocketAddr,
    queries: Queries,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// Connections without a question.
    strangers: HashMap<SocketAddr, (Instant, TcpStream)>,
    /// Questions without a connection.
    expected: HashMap<SocketAddr, oneshot::Sender<TcpStream>>,
    records: Records<SocketInode, Record>,
}

/// What is known of a guest's socket.
struct Record {
    to: SocketAddr,
    from: SocketAddr,
    outcome: watch::Receiver<Option<Result<Connected, Fault>>>,
}

/// A guest's socket that wants to go somewhere.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) inode: SocketInode,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) n_plugged: u32,
    pub(crate) send_buffer: Option<u32>,
    /// A duplicate of the socket, if it is plugged.
    pub(crate) guest: Option<OwnedFd>,
}

impl Outgoing {
    /// Opens the relay.
    pub(crate) fn start(agent: Agent, relays: Relays, queries: Queries) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        plug::prepare_listener(&socket)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        let shared = Shared {
            strangers: HashMap::new(),
            expected: HashMap::new(),
            records: Records::new(N_REMEMBERED),
        };
        let outgoing = Self { agent, relays, address, queries, shared: Arc::new(Mutex::new(shared)) };
        // Before anybody knows the address.
        let listener = outgoing.relays.within(|| socket.listen(4096))?;
        outgoing.relays.spawn(outgoing.clone().accept(listener));
        Ok(outgoing)
    }

    /// Where guests' sockets connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => self.admit(stream, addr::plain(from)),
                Err(error) => {
                    tracing::error!(%error, "cannot take a guest's connection");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, from: SocketAddr) {
        if let Err(error) = plug::shut(&stream) {
            tracing::warn!(%error, "cannot hold a connection back");
        }
        let mut shared = self.shared();
        if let Some(stream_tx) = shared.expected.remove(&from) {
            // If the question was given up, so is the connection.
            drop(stream_tx.send(stream));
            return;
        }
        shared.strangers.retain(|_, (since, _)| since.elapsed() < MEETING_TIME);
        if shared.strangers.len() < N_STRANGERS {
            shared.strangers.insert(from, (Instant::now(), stream));
        }
    }

    /// Takes a guest's socket to its destination; the outcome is kept for [`Self::outcome`].
    pub(crate) fn connect(&self, connect: Connect) {
        let (outcome_tx, outcome_rx) = watch::channel(None);
        let record = Record { to: connect.to, from: connect.from, outcome: outcome_rx };
        self.shared().records.record(connect.inode, record);
        let outgoing = self.clone();
        self.relays.spawn(async move { outgoing.carry(connect, outcome_tx).await });
    }

    /// How a connect ended, when it has.
    pub(crate) async fn outcome(&self, inode: SocketInode) -> Result<SocketAnswer, Fault> {
        let outcome = self.shared().records.get(inode).map(|record| record.outcome.clone());
        let Some(mut outcome) = outcome else { return Ok(SocketAnswer::Unknown) };
        let known = outcome.wait_for(Option::is_some).await;
        match known.as_deref() {
            Ok(Some(Ok(_))) => Ok(SocketAnswer::Connected),
            Ok(Some(Err(fault))) => Err(fault.clone()),
            Ok(None) | Err(_) => Err(Fault::os(libc::ECONNABORTED)),
        }
    }

    /// The addresses that a guest's socket must seem to have.
    pub(crate) fn addresses(&self, inode: SocketInode) -> Option<SocketAnswer> {
        let shared = self.shared();
        let record = shared.records.get(inode)?;
        let local = match &*record.outcome.borrow() {
            Some(Ok(connected)) => connected.local.unwrap_or(record.from),
            // A socket on its way has an address already: its own.
            None => record.from,
            Some(Err(_)) => return None,
        };
        Some(SocketAnswer::Addresses { local, peer: record.to })
    }

    async fn carry(self, connect: Connect, outcome_tx: watch::Sender<Option<Result<Connected, Fault>>>) {
        let from = addr::plain(connect.from);
        let destination = Destination::Tcp(addr::plain(connect.to));
        let (stream, far_side) = tokio::join!(self.meet(from), self.open(destination));
        let stream = match stream {
            Ok(stream) => stream,
            Err(fault) => {
                outcome_tx.send_replace(Some(Err(fault)));
                return;
            }
        };
        match far_side {
            Ok((connected, lane, reader)) => {
                let debt = self.relays.owe();
                outcome_tx.send_replace(Some(Ok(connected)));
                self.flow(connect, stream, lane, reader, debt).await;
            }
            Err(fault) => {
                tracing::debug!(to = %connect.to, %fault, "cannot connect there");
                // Who hears of it finds the socket reset already.
                relay::abort(stream);
                outcome_tx.send_replace(Some(Err(fault)));
            }
        }
    }

    async fn flow(
        &self,
        connect: Connect,
        mut stream: TcpStream,
        lane: UnixStream,
        reader: FrameReader,
        debt: Debt,
    ) {
        let Connect { to, n_plugged, guest, send_buffer, .. } = connect;
        let pulled = plug::pull(&mut stream, n_plugged, guest.as_ref(), send_buffer).await;
        drop(guest);
        match pulled.and_then(|()| stream.set_nodelay(true)) {
            Ok(()) if self.queries.concern(addr::plain(to)) => {
                self.sift(stream, lane, &reader.into_rest(), debt).await;
            }
            Ok(()) => self.relays.tcp(stream, lane, &reader.into_rest(), Ways::Both, debt).await,
            Err(error) => tracing::debug!(%error, "a guest gave its connection up"),
        }
    }

    /// The same with those queries taken out that are asked here.
    async fn sift(&self, stream: TcpStream, lane: UnixStream, first: &[u8], debt: Debt) {
        let (ours, theirs) = match UnixStream::pair() {
            Ok(pair) => pair,
            Err(error) => return tracing::warn!(%error, "cannot relay queries"),
        };
        tokio::join!(self.queries.sift(stream, ours), self.relays.unix(theirs, lane, first, debt));
    }

    /// The connection that comes from there.
    async fn meet(&self, from: SocketAddr) -> Result<TcpStream, Fault> {
        let stream_rx = {
            let mut shared = self.shared();
            if let Some((_, stream)) = shared.strangers.remove(&from) {
                return Ok(stream);
            }
            let (stream_tx, stream_rx) = oneshot::channel();
            shared.expected.insert(from, stream_tx);
            stream_rx
        };
        if let Ok(Ok(stream)) = tokio::time::timeout(MEETING_TIME, stream_rx).await {
            return Ok(stream);
        }
        let mut shared = self.shared();
        // A later question may have taken the place of this one.
        if shared.expected.get(&from).is_some_and(oneshot::Sender::is_closed) {
            shared.expected.remove(&from);
        }
        Err(Fault::with_words(libc::ECONNABORTED, "the guest's connection did not come"))
    }

    async fn open(&self, to: Destination) -> Result<(Connected, UnixStream, FrameReader), Fault> {
        let lane = self.agent.open_lane(|key| LaneOpen::Connect(key, ConnectCall { to })).await?;
        let mut lane = UnixStream::from_std(lane)?;
        let mut reader = FrameReader::default();
        let answered = tokio::time::timeout(CONNECT_TIME, lane::read_answer(&mut lane, &mut reader)).await;
        let connected = answered.unwrap_or_else(|_| Err(Fault::os(libc::ETIMEDOUT)))?;
        Ok((connected, lane, reader))
    }

    /// A unix stream of the target's: one end of a pair, whose other end is relayed.
    pub(crate) async fn unix(&self, name: UnixName, kind: i32) -> Result<OwnedFd, Fault> {
        if kind != libc::SOCK_STREAM {
            return Err(Fault::with_words(libc::EPROTONOSUPPORT, "only streams of bytes are relayed"));
        }
        let (given_tx, given_rx) = oneshot::channel();
        let outgoing = self.clone();
        self.relays.spawn(async move {
            let opened = outgoing.open(Destination::Unix(name)).await;
            let paired = opened.and_then(|opened| Ok((opened, UnixStream::pair()?)));
            let ((_, lane, reader), (ours, theirs)) = match paired {
                Ok(paired) => paired,
                Err(fault) => return drop(given_tx.send(Err(fault))),
            };
            let theirs = theirs.into_std().and_then(|theirs| {
                // The guest's own flags are the layer's affair.
                theirs.set_nonblocking(false)?;
                Ok(OwnedFd::from(theirs))
            });
            let debt = outgoing.relays.owe();
            if given_tx.send(theirs.map_err(Fault::from)).is_ok() {
                outgoing.relays.unix(ours, lane, &reader.into_rest(), debt).await;
            }
        });
        given_rx.await.unwrap_or(Err(Fault::os(libc::ECONNABORTED)))
    }
}
