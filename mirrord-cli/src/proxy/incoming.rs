//! Traffic for the guest: its listeners, and whose connection waits at which of them.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mirrord_core::{
    addr,
    proxy::{
        listeners::{Effect, Listener, Listeners},
        records::Records,
    },
    rules::incoming::{IncomingRules, Subscription},
    verdict::Verdict,
};
use mirrord_protocol::{
    agent::{
        AgentCall, LaneOpen,
        incoming::{Arrival, SubscribeCall, Wish},
    },
    frame::FrameReader,
    id::SocketInode,
    proxy::sockets::SocketAnswer,
};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::{Mutex as AsyncMutex, oneshot},
};

use super::{
    agent::Agent,
    alive,
    doorbell::{self, Doorbell},
    lane,
    relay::{Relays, Ways},
    settings::Settings,
};

/// For how many connections it is remembered whose they are.
const N_REMEMBERED: usize = 16 << 10;

/// How long a listener may leave the bell unanswered before the target gets the connection back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Incoming traffic.
pub(crate) struct Incoming {
    agent: Agent,
    relays: Relays,
    settings: Arc<Settings>,
    rules: IncomingRules,
    pass: bool,
    doorbell: Ipv4Addr,
    /// Whether anything could ever arrive.
    subscribed_ever: AtomicBool,
    /// Held while the agent is asked, so that what it hears is in the order of what happened.
    settling: AsyncMutex<()>,
    listeners: Mutex<Listeners>,
    ringing: Mutex<HashMap<SocketAddr, Ringing>>,
    stolen: Mutex<Records<SocketAddr, SocketAddr>>,
    /// What `getsockname` and `getpeername` tell of sockets that are not what their guest thinks.
    addresses: Mutex<Records<SocketInode, (SocketAddr, SocketAddr)>>,
}

/// A connection that waits for the guest to accept it.
struct Ringing {
    arrival: Arrival,
    connection: Option<OwnedFd>,
    is_foreign: bool,
    /// Tells of it; with the connection, if that is to be relayed.
    accepted_tx: oneshot::Sender<Option<OwnedFd>>,
}

/// How an attempt to deliver ended.
enum Delivery {
    /// The guest has it.
    Done,
    /// Nobody is there.
    Refused(Option<OwnedFd>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Incoming {
    /// Nothing listens yet.
    pub(crate) fn new(
        agent: Agent,
        relays: Relays,
        settings: Arc<Settings>,
        rules: IncomingRules,
        pass: bool,
        doorbell: Ipv4Addr,
    ) -> Self {
        Self {
            agent,
            relays,
            settings,
            rules,
            pass,
            doorbell,
            subscribed_ever: AtomicBool::default(),
            settling: AsyncMutex::default(),
            listeners: Mutex::default(),
            ringing: Mutex::default(),
            stolen: Mutex::new(Records::new(N_REMEMBERED)),
            addresses: Mutex::new(Records::new(N_REMEMBERED)),
        }
    }

    /// The guest listens.
    pub(crate) async fn listen(&self, mut listener: Listener) -> SocketAnswer {
        if let Some(&(requested, _)) = lock(&self.addresses).get(listener.inode) {
            listener.requested = requested;
        }
        let subscription = match self.rules.decide(listener.requested) {
            Verdict::Take(subscription) => Some(subscription),
            verdict => {
                tracing::debug!(?listener, ?verdict, "listener stays the developer's own");
                None
            }
        };
        lock(&self.listeners).handle_listen(listener, subscription);
        self.settle().await;
        SocketAnswer::Listening { subscribed: lock(&self.listeners).is_subscribed(listener.inode) }
    }

    /// The guest has accepted a connection of ours. What rides along replaces it.
    pub(crate) fn accepted(&self, inode: SocketInode, from: SocketAddr) -> (SocketAnswer, Option<OwnedFd>) {
        let Some(ringing) = lock(&self.ringing).remove(&addr::plain(from)) else {
            return (SocketAnswer::Unknown, None);
        };
        let Ringing { arrival: Arrival { peer, local, .. }, connection, is_foreign, accepted_tx } = ringing;
        if is_foreign {
            // Its guest has no words for such a peer: what the kernel tells of our own connection is true, too.
            drop(accepted_tx.send(connection));
            return (SocketAnswer::Unknown, None);
        }
        let descriptor = connection.is_some();
        if descriptor {
            lock(&self.stolen).record(addr::plain(peer), local);
        } else {
            lock(&self.addresses).record(inode, (local, peer));
        }
        drop(accepted_tx.send(None));
        (SocketAnswer::Arrived { peer, local, descriptor }, connection)
    }

    /// A socket stands elsewhere than its guest asked for.
    pub(crate) fn record_bound(&self, inode: SocketInode, requested: SocketAddr) {
        lock(&self.addresses).record(inode, (requested, requested));
    }

    /// The addresses of a socket that was bound elsewhere, or is relayed.
    pub(crate) fn addresses(&self, inode: SocketInode) -> Option<SocketAnswer> {
        let addresses = lock(&self.addresses);
        addresses.get(inode).map(|&(local, peer)| SocketAnswer::Addresses { local, peer })
    }

    /// The address that the peer of a passed connection asked for.
    pub(crate) fn stolen_addresses(&self, peer: SocketAddr) -> SocketAnswer {
        match lock(&self.stolen).get(addr::plain(peer)) {
            Some(&local) => SocketAnswer::Addresses { local, peer },
            None => SocketAnswer::Unknown,
        }
    }

    /// Looks which listeners are still there, and gives the ports of the others back.
    pub(crate) async fn check(&self) {
        if lock(&self.listeners).is_empty() {
            return;
        }
        match alive::listening() {
            Ok(alive) => lock(&self.listeners).handle_alive(|inode| alive.contains(&inode)),
            Err(error) => return tracing::warn!(%error, "cannot list the sockets that listen"),
        }
        self.settle().await;
    }

    /// A listener has refused a connection: if the kernel does not list it either, it is gone.
    async fn check_refused(&self, inode: SocketInode) {
        if alive::listening().is_ok_and(|alive| !alive.contains(&inode)) {
            lock(&self.listeners).handle_gone(inode);
        }
        self.settle().await;
    }

    /// The guest is gone, and every listener with it: gives their ports back. Whether there were any, ever.
    pub(crate) async fn retire(&self) -> bool {
        let listeners: Vec<_> = lock(&self.listeners).iter().map(|listener| listener.inode).collect();
        for inode in listeners {
            lock(&self.listeners).handle_gone(inode);
        }
        self.settle().await;
        self.subscribed_ever.load(Ordering::Relaxed)
    }

    /// Does what the listeners want done.
    async fn settle(&self) {
        let _settling = self.settling.lock().await;
        loop {
            let effect = lock(&self.listeners).poll_effect();
            match effect {
                Some(Effect::Subscribe(subscription)) => self.subscribe(subscription).await,
                Some(Effect::Unsubscribe(port)) => {
                    let outcome = self.agent.call(AgentCall::Unsubscribe(port), None).await;
                    tracing::info!(port = port.0, failed = ?outcome.err(), "gave a port back");
                }
                None => break,
            }
        }
        let listeners = lock(&self.listeners);
        if let Err(error) = self.settings.ports().show(listeners.iter().map(|listener| listener.bound)) {
            tracing::error!(%error, "cannot write the page of ports");
        }
    }

    async fn subscribe(&self, Subscription { wish, port }: Subscription) {
        let pass = self.pass && wish == Wish::Steal;
        let outcome = self.agent.call(AgentCall::Subscribe(SubscribeCall { port, wish, pass }), None).await;
        match &outcome {
            Ok(_) => tracing::info!(port = port.0, ?wish, "subscribed a port"),
            Err(fault) => tracing::warn!(port = port.0, ?wish, %fault, "cannot subscribe a port"),
        }
        self.subscribed_ever.fetch_or(outcome.is_ok(), Ordering::Relaxed);
        lock(&self.listeners).finish_subscribe(port, outcome.is_ok());
    }

    /// A connection has arrived: to the guest with it, or back.
    pub(crate) async fn deliver(self: Arc<Self>, arrival: Arrival, mut connection: Option<OwnedFd>) {
        // Each attempt that is refused may remove the listener that refused it; the next one may take it.
        let mut refused = None;
        loop {
            let listener = lock(&self.listeners).route(arrival.port, arrival.local);
            let Some(listener) = listener.filter(|listener| refused != Some(listener.inode)) else { break };
            match self.try_at(listener, arrival, connection).await {
                Delivery::Done => return,
                Delivery::Refused(returned) => connection = returned,
            }
            refused = Some(listener.inode);
            self.check_refused(listener.inode).await;
        }
        tracing::debug!(?arrival, "nobody takes a connection; the target gets it");
        drop(self.agent.call(AgentCall::Return(arrival.id), connection).await);
    }

    async fn try_at(
        self: &Arc<Self>,
        listener: Listener,
        arrival: Arrival,
        mut connection: Option<OwnedFd>,
    ) -> Delivery {
        for place in doorbell::places(listener.bound) {
            let doorbell = match Doorbell::new(self.doorbell, place) {
                Ok(doorbell) => doorbell,
                Err(error) => {
                    tracing::warn!(%error, %place, "cannot ring");
                    continue;
                }
            };
            let from = doorbell.from;
            let is_foreign = is_foreign(listener, arrival);
            let (accepted_tx, accepted_rx) = oneshot::channel();
            lock(&self.ringing).insert(from, Ringing { arrival, connection, is_foreign, accepted_tx });
            let rung = tokio::time::timeout(PATIENCE, doorbell.ring()).await;
            if let Ok(Ok(stream)) = rung {
                return self.wait(from, stream, arrival, accepted_rx).await;
            }
            let ringing = lock(&self.ringing).remove(&from);
            let Some(ringing) = ringing else { return Delivery::Done };
            connection = ringing.connection;
        }
        Delivery::Refused(connection)
    }

    async fn wait(
        self: &Arc<Self>,
        from: SocketAddr,
        stream: TcpStream,
        arrival: Arrival,
        mut accepted_rx: oneshot::Receiver<Option<OwnedFd>>,
    ) -> Delivery {
        tokio::select! {
            biased;
            accepted = &mut accepted_rx => if let Ok(connection) = accepted {
                self.begin(stream, arrival, connection);
            },
            // Nobody speaks before he has accepted: this is the end of the listener, or of the one who took it.
            _ = stream.readable() => {
                if let Some(ringing) = lock(&self.ringing).remove(&from) {
                    return Delivery::Refused(ringing.connection);
                }
                if let Ok(connection) = accepted_rx.await {
                    self.begin(stream, arrival, connection);
                }
            }
        }
        Delivery::Done
    }

    /// The guest has accepted: what it has is the connection itself, or our end of a relay.
    fn begin(&self, stream: TcpStream, arrival: Arrival, connection: Option<OwnedFd>) {
        match connection {
            Some(connection) => self.relay_passed(stream, connection),
            None if arrival.descriptor => {}
            None => self.relay(stream, arrival),
        }
    }

    fn relay_passed(&self, stream: TcpStream, connection: OwnedFd) {
        let (relays, debt) = (self.relays.clone(), self.relays.owe());
        let connection = std::net::TcpStream::from(connection);
        let (Ok(stream), Ok(())) = (stream.into_std(), connection.set_nonblocking(true)) else { return };
        self.relays.spawn(async move {
            if let (Ok(stream), Ok(connection)) =
                (TcpStream::from_std(stream), TcpStream::from_std(connection))
            {
                drop(connection.set_nodelay(true));
                relays.passed(stream, connection, debt).await;
            }
        });
    }

    fn relay(&self, stream: TcpStream, arrival: Arrival) {
        let (agent, relays) = (self.agent.clone(), self.relays.clone());
        let Ok(stream) = stream.into_std() else { return };
        let debt = relays.owe();
        self.relays.spawn(async move {
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let opened = match agent.open_lane(|key| LaneOpen::Arrival(key, arrival.id)) {
                Ok(lane) => open(lane).await,
                Err(fault) => Err(fault),
            };
            match opened {
                Ok((lane, reader)) => {
                    let ways = if arrival.wish == Wish::Mirror { Ways::Inward } else { Ways::Both };
                    relays.tcp(stream, lane, &reader.into_rest(), ways, debt).await;
                }
                Err(fault) => {
                    tracing::warn!(?arrival, %fault, "an accepted connection is gone");
                    super::relay::reset(stream).await;
                }
            }
        });
    }
}

/// Whether a peer's address cannot be told to the guest that listens.
fn is_foreign(listener: Listener, arrival: Arrival) -> bool {
    listener.bound.is_ipv4() && arrival.peer.ip().to_canonical().is_ipv6()
}

async fn open(
    lane: std::os::unix::net::UnixStream,
) -> Result<(UnixStream, FrameReader), mirrord_protocol::fault::Fault> {
    let mut lane = UnixStream::from_std(lane)?;
    let mut reader = FrameReader::default();
    lane::read_answer::<()>(&mut lane, &mut reader).await?;
    Ok((lane, reader))
}
