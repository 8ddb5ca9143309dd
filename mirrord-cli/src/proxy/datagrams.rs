//! Datagrams that are sent here and go on from there: a relay address for each destination of each socket.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mirrord_core::addr;
use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, LaneOpen,
        outgoing::{Connected, Datagram, DatagramCall},
    },
    fault::Fault,
    frame::{FrameReader, encode_frame},
    id::SocketInode,
    proxy::sockets::SocketAnswer,
    wire,
};
use serde_bytes::ByteBuf;
use tokio::{
    io::AsyncWriteExt,
    net::{
        UdpSocket, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::{
    agent::Agent,
    alive,
    files::nonsense,
    lane,
    queries::{By, Queries},
    relay::Relays,
};

/// For how long a destination to which a way led counts as reachable, and for how many it is remembered.
const WAY_TIME: Duration = Duration::from_secs(5);
const MOST_WAYS: usize = 1024;

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// How often it is looked whether a guest's socket is still there.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// For how long a destination that refused is refused here, too: so the guest's kernel tells it.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// How long the last datagrams may take from here to the agent.
const LAST_TIME: Duration = Duration::from_secs(1);

/// For how long a guest's connected socket is kept, to tell it a refusal that nobody asks for.
const KEEP_TIME: Duration = Duration::from_secs(3);

/// How many datagrams wait for the lane before the kernel starts to drop them.
const N_WAITING: usize = 64;

/// Outgoing datagrams. Clones are the same.
#[derive(Clone)]
pub(crate) struct Datagrams {
    agent: Agent,
    relays: Relays,
    /// The target's addresses, loopback left out.
    addresses: Arc<[IpAddr]>,
    queries: Queries,
    sockets: Arc<AsyncMutex<HashMap<SocketInode, Arc<GuestSocket>>>>,
    /// When a way led to a destination.
    ways: Arc<Mutex<HashMap<IpAddr, Instant>>>,
}

/// A socket of a guest, and its counterpart there.
struct GuestSocket {
    /// The address of the counterpart.
    local: SocketAddr,
    /// Where the guest's socket stands here, as far as is known.
    from: Mutex<SocketAddr>,
    /// What the guest's socket was connected to last, or else sent to first.
    last: Mutex<Last>,
    routes: Mutex<HashMap<SocketAddr, Route>>,
    outbox: mpsc::Sender<Datagram>,
    /// The guest's own socket, a moment after it was connected.
    connected: Mutex<Option<OwnedFd>>,
    queries: Queries,
}

/// The far side of a socket.
#[derive(Clone, Copy)]
struct Last {
    peer: SocketAddr,
    /// From which address the target sends there, if it was asked.
    own: Option<IpAddr>,
}

/// The relay of one destination.
struct Route {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    receiving: JoinHandle<()>,
}

impl Drop for Route {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Datagrams {
    /// No datagrams yet.
    pub(crate) fn new(agent: Agent, relays: Relays, addresses: &[IpAddr], queries: Queries) -> Self {
        let (addresses, sockets, ways) = (addresses.into(), Arc::default(), Arc::default());
        Self { agent, relays, addresses, queries, sockets, ways }
    }

    /// Where datagrams of a socket to a destination are to be sent.
    pub(crate) async fn relay(
        &self,
        inode: SocketInode,
        from: SocketAddr,
        to: SocketAddr,
        connected: Option<OwnedFd>,
    ) -> Result<SocketAnswer, Fault> {
        // The sockets live on the relays' thread.
        let (answer_tx, answer_rx) = oneshot::channel();
        let datagrams = self.clone();
        let (from, to) = (addr::plain(from), addr::reached(addr::plain(to)));
        self.relays.spawn(async move {
            let relayed = datagrams.find_or_make(inode, from, to, connected).await;
            drop(answer_tx.send(relayed));
        });
        let answer = answer_rx.await.unwrap_or(Err(Fault::os(libc::ENETDOWN)));
        answer.map(SocketAnswer::Relay)
    }

    /// For which destination a relay stands.
    pub(crate) async fn source(&self, inode: SocketInode, from: SocketAddr) -> SocketAnswer {
        let sockets = self.sockets.lock().await;
        let Some(socket) = sockets.get(&inode) else { return SocketAnswer::Unknown };
        let routes = lock(&socket.routes);
        let found = routes.iter().find(|(_, route)| route.address == addr::plain(from));
        match found {
            Some((peer, _)) => SocketAnswer::Addresses { local: socket.local, peer: *peer },
            None => SocketAnswer::Unknown,
        }
    }

    /// The addresses that a connected socket must seem to have.
    pub(crate) async fn addresses(&self, inode: SocketInode) -> Option<SocketAnswer> {
        let socket = self.sockets.lock().await.get(&inode).cloned()?;
        let Last { peer, own } = *lock(&socket.last);
        let mut local = socket.local;
        if let (true, Some(own)) = (local.ip().is_unspecified(), own) {
            local.set_ip(own);
        } else if local.ip().is_unspecified() {
            // The counterpart is not connected; the kernel there would choose the address by the destination.
            let ours = self.addresses.iter().find(|ip| ip.is_ipv4() == peer.is_ipv4());
            match ours {
                _ if peer.ip().is_loopback() => local.set_ip(peer.ip()),
                Some(ip) => local.set_ip(*ip),
                None => {}
            }
        }
        Some(SocketAnswer::Addresses { local, peer })
    }

    /// Waits until what guests have sent is on its way.
    pub(crate) async fn finish(&self) {
        let since = Instant::now();
        while since.elapsed() < LAST_TIME {
            let sockets: Vec<_> = self.sockets.lock().await.values().cloned().collect();
            if sockets.iter().all(|socket| socket.is_idle()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn find_or_make(
        &self,
        inode: SocketInode,
        from: SocketAddr,
        to: SocketAddr,
        connected: Option<OwnedFd>,
    ) -> Result<SocketAddr, Fault> {
        let (way, socket) =
            tokio::join!(self.find_way(to, connected.is_some()), self.find_or_open(inode, from, to));
        // Without a way the call fails, as the kernel there would fail it.
        let (own, socket) = (way?, socket?);
        if from.port() != 0 {
            *lock(&socket.from) = from;
        }
        if lock(&socket.routes).is_empty() {
            *lock(&socket.last) = Last { peer: to, own: None };
        }
        let relay = socket.route(to)?;
        if let Some(connected) = connected {
            *lock(&socket.last) = Last { peer: to, own };
            socket.keep(connected);
        }
        Ok(relay)
    }

    async fn find_or_open(
        &self,
        inode: SocketInode,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<Arc<GuestSocket>, Fault> {
        let mut sockets = self.sockets.lock().await;
        match sockets.get(&inode) {
            Some(socket) if !socket.outbox.is_closed() => Ok(socket.clone()),
            _ => {
                let socket = self.open(inode, from, to).await?;
                sockets.insert(inode, socket.clone());
                Ok(socket)
            }
        }
    }

    /// Finds out whether a way leads there, and from which address of the target's if that is wanted. For a moment the
    /// answer holds for all who only want to send.
    async fn find_way(&self, to: SocketAddr, wants_own: bool) -> Result<Option<IpAddr>, Fault> {
        let is_known = lock(&self.ways).get(&to.ip()).is_some_and(|since| since.elapsed() < WAY_TIME);
        // A query that is asked here needs no way there.
        if !wants_own && (is_known || self.queries.concern(to)) {
            return Ok(None);
        }
        let own = self.source_there(to).await?;
        let mut ways = lock(&self.ways);
        if ways.len() >= MOST_WAYS {
            ways.retain(|_, since| since.elapsed() < WAY_TIME);
        }
        if ways.len() < MOST_WAYS {
            ways.insert(to.ip(), Instant::now());
        }
        Ok(Some(own))
    }

    /// From which address the target sends to another.
    async fn source_there(&self, to: SocketAddr) -> Result<IpAddr, Fault> {
        match self.agent.call(AgentCall::Route(to), None).await? {
            (AgentAnswer::Route(own), _) => Ok(own),
            _ => Err(nonsense()),
        }
    }

    async fn open(
        &self,
        inode: SocketInode,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<Arc<GuestSocket>, Fault> {
        let bind = SocketAddr::new(unspecified(to), 0);
        let lane = self.agent.open_lane(|key| LaneOpen::Datagrams(key, DatagramCall { bind })).await?;
        let mut lane = UnixStream::from_std(lane)?;
        let mut reader = FrameReader::default();
        let connected: Connected = lane::read_answer(&mut lane, &mut reader).await?;
        let (outbox, datagrams_rx) = mpsc::channel(N_WAITING);
        let socket = Arc::new(GuestSocket {
            local: connected.local.unwrap_or(bind),
            from: Mutex::new(from),
            last: Mutex::new(Last { peer: to, own: None }),
            routes: Mutex::default(),
            outbox,
            connected: Mutex::default(),
            queries: self.queries.clone(),
        });
        let (lane_read, lane_write) = lane.into_split();
        let writing = tokio::spawn(send_there(lane_write, datagrams_rx));
        let (datagrams, receiving) = (self.clone(), socket.clone());
        tokio::spawn(async move {
            datagrams.receive(inode, &receiving, lane_read, reader).await;
            writing.abort();
            let mut sockets = datagrams.sockets.lock().await;
            if sockets.get(&inode).is_some_and(|socket| Arc::ptr_eq(socket, &receiving)) {
                sockets.remove(&inode);
            }
            drop(sockets);
            lock(&receiving.routes).clear();
        });
        Ok(socket)
    }

    /// Takes in what comes from there, until the lane ends or the guest's socket is gone.
    async fn receive(
        &self,
        inode: SocketInode,
        socket: &Arc<GuestSocket>,
        mut lane: OwnedReadHalf,
        mut reader: FrameReader,
    ) {
        let mut check = tokio::time::interval_at(Instant::now() + CHECK_TIME, CHECK_TIME);
        loop {
            tokio::select! {
                frame = lane::read_frame(&mut lane, &mut reader) => {
                    let Ok(frame) = frame else { return };
                    match wire::decode(&frame) {
                        Ok(Datagram::Data(peer, bytes)) => socket.deliver(addr::plain(peer), &bytes).await,
                        Ok(Datagram::Failed(peer, errno)) => {
                            tracing::debug!(%peer, errno, "a datagram was refused");
                            lock(&self.ways).remove(&addr::plain(peer).ip());
                            socket.refuse(addr::plain(peer));
                        }
                        Err(error) => return tracing::warn!(%error, "a lane of datagrams makes no sense"),
                    }
                }
                _ = check.tick() => {
                    if alive::datagrams().is_ok_and(|alive| !alive.contains(&inode)) {
                        return;
                    }
                }
            }
        }
    }
}

impl GuestSocket {
    /// The relay's address for a destination.
    fn route(self: &Arc<Self>, to: SocketAddr) -> io::Result<SocketAddr> {
        let mut routes = lock(&self.routes);
        if let Some(route) = routes.get(&to) {
            return Ok(route.address);
        }
        let loopback = match lock(&self.from).ip() {
            IpAddr::V6(ip) if !ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let socket = std::net::UdpSocket::bind((loopback, 0))?;
        let address = socket.local_addr()?;
        routes.insert(to, self.begin_route(socket, address, to)?);
        Ok(address)
    }

    fn begin_route(
        self: &Arc<Self>,
        socket: std::net::UdpSocket,
        address: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<Route> {
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let receiving = tokio::spawn(self.clone().receive_from_guest(socket.clone(), to));
        Ok(Route { address, socket, receiving })
    }

    async fn receive_from_guest(self: Arc<Self>, socket: Arc<UdpSocket>, to: SocketAddr) {
        while socket.readable().await.is_ok() {
            // An error says that the guest does not listen there any more: what its own kernel tells it.
            let Ok((bytes, from)) = receive(&socket) else { continue };
            if !self.is_guest(from) {
                continue;
            }
            if self.queries.keeps(to, &bytes) {
                tokio::spawn(answer_here(socket.clone(), from, bytes.into_vec()));
                continue;
            }
            if self.outbox.send(Datagram::Data(to, bytes)).await.is_err() {
                return;
            }
        }
    }

    /// Whether nothing waits to be sent there.
    fn is_idle(&self) -> bool {
        let is_read =
            |route: &Route| rustix::io::ioctl_fionread(&route.socket).is_ok_and(|n_left| n_left == 0);
        self.outbox.is_closed()
            || (self.outbox.capacity() == N_WAITING && lock(&self.routes).values().all(is_read))
    }

    /// Whether a datagram comes from the guest's socket, whose port may be learned by its first one.
    fn is_guest(&self, from: SocketAddr) -> bool {
        let mut known = lock(&self.from);
        if known.port() == 0 {
            *known = from;
        }
        known.port() == from.port() && (known.ip().is_unspecified() || from.ip().is_loopback())
    }

    /// Where the guest's socket is reached from here.
    fn guest(&self) -> Option<SocketAddr> {
        let known = *lock(&self.from);
        let ip = match known.ip() {
            ip if !ip.is_unspecified() => ip,
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        (known.port() != 0).then(|| SocketAddr::new(ip, known.port()))
    }

    async fn deliver(self: &Arc<Self>, peer: SocketAddr, bytes: &[u8]) {
        let Ok(_) = self.route(peer) else { return };
        let socket = lock(&self.routes).get(&peer).map(|route| route.socket.clone());
        if let (Some(socket), Some(guest)) = (socket, self.guest()) {
            // A datagram may be lost on its last steps, too.
            drop(socket.send_to(bytes, guest).await);
        }
    }

    /// Keeps the guest's own socket for as long as a first refusal may take.
    fn keep(self: &Arc<Self>, connected: OwnedFd) {
        *lock(&self.connected) = Some(connected);
        let socket = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEEP_TIME).await;
            lock(&socket.connected).take();
        });
    }

    /// Closes the relay of a destination for a while: the kernel refuses the guest's datagrams, as the network did.
    fn refuse(self: &Arc<Self>, peer: SocketAddr) {
        let Some(route) = lock(&self.routes).remove(&peer) else { return };
        let (address, relay) = (route.address, Arc::downgrade(&route.socket));
        drop(route);
        let socket = self.clone();
        tokio::spawn(async move {
            // The task that received there ends a moment after it was told to.
            while relay.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
            if let Some(guest) = lock(&socket.connected).take() {
                let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT;
                let _ = nix::sys::socket::send(guest.as_raw_fd(), &[], flags);
            }
            tokio::time::sleep(REFUSAL_TIME).await;
            let mut routes = lock(&socket.routes);
            if !routes.contains_key(&peer) && !socket.outbox.is_closed() {
                let reopened = std::net::UdpSocket::bind(address);
                if let Ok(route) = reopened.and_then(|it| socket.begin_route(it, address, peer)) {
                    routes.insert(peer, route);
                }
            }
        });
    }
}

thread_local! {
    /// Room for one datagram, of whatever socket: most sockets say little, and are not heard of any more.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGEST]);
}

/// Takes a datagram, without waiting.
fn receive(socket: &UdpSocket) -> io::Result<(ByteBuf, SocketAddr)> {
    ROOM.with_borrow_mut(|room| {
        let (n_received, from) = socket.try_recv_from(room)?;
        Ok((ByteBuf::from(&room[..n_received]), from))
    })
}

/// Asks a query here, and answers the guest as its server would.
async fn answer_here(socket: Arc<UdpSocket>, guest: SocketAddr, query: Vec<u8>) {
    match Queries::ask(&query, By::Datagram).await {
        Ok(answer) => drop(socket.send_to(&answer, guest).await),
        Err(error) => tracing::debug!(%error, "a query that stays here was not answered"),
    }
}

async fn send_there(mut lane: OwnedWriteHalf, mut datagrams_rx: mpsc::Receiver<Datagram>) {
    while let Some(datagram) = datagrams_rx.recv().await {
        let Ok(frame) = encode_frame(&datagram) else { continue };
        if lane.write_all(&frame).await.is_err() {
            return;
        }
    }
}

fn unspecified(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
