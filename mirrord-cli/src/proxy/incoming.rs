//! Traffic for the guest: its listeners, and whose connection waits at which of them.

mod deliver;

use std::{
    collections::{BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
        AgentCall,
        incoming::{Arrival, Port, SubscribeCall, Wish},
    },
    fault::Fault,
    id::SocketInode,
    proxy::sockets::SocketAnswer,
};
use tokio::sync::{Mutex as AsyncMutex, Notify, oneshot};

use super::{
    agent::Agent,
    alive,
    chronicle::{Chronicle, Happening},
    complain::Complaints,
    doorbell::Doors,
    link::Link,
    relay::Relays,
    settings::Settings,
};

/// For how many connections it is remembered whose they are.
const N_REMEMBERED: usize = 16 << 10;

/// Incoming traffic.
pub(crate) struct Incoming {
    agent: Agent,
    /// The agents of all pods whose traffic is wanted.
    links: Mutex<Vec<Link>>,
    /// What is subscribed at each.
    covered: Mutex<HashMap<u64, BTreeSet<Port>>>,
    complaints: Arc<Complaints>,
    chronicle: Arc<Chronicle>,
    relays: Relays,
    settings: Arc<Settings>,
    rules: IncomingRules,
    pass: bool,
    doorbell: Ipv4Addr,
    /// Whether anything could ever arrive.
    subscribed_ever: AtomicBool,
    /// Tells that something can.
    wanted: Notify,
    /// Held while the agent is asked, so that what it hears is in the order of what happened.
    settling: AsyncMutex<()>,
    listeners: Mutex<Listeners>,
    ringing: Mutex<HashMap<SocketAddr, Ringing>>,
    doors: Doors,
    stolen: Mutex<Records<SocketAddr, SocketAddr>>,
    /// What `getsockname` and `getpeername` tell of sockets that are not what their guest thinks.
    addresses: Mutex<Records<SocketInode, (SocketAddr, SocketAddr)>>,
}

/// A connection that waits for the guest to accept it.
struct Ringing {
    link: Link,
    arrival: Arrival,
    connection: Option<OwnedFd>,
    is_foreign: bool,
    /// Tells of it; with the connection, if that is to be relayed.
    accepted_tx: oneshot::Sender<Option<OwnedFd>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Incoming {
    /// Nothing listens yet.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the session")]
    pub(crate) fn new(
        agent: Agent,
        complaints: Arc<Complaints>,
        chronicle: Arc<Chronicle>,
        relays: Relays,
        settings: Arc<Settings>,
        rules: IncomingRules,
        pass: bool,
        doorbell: Ipv4Addr,
    ) -> Self {
        Self {
            agent,
            links: Mutex::default(),
            covered: Mutex::default(),
            complaints,
            chronicle,
            relays,
            settings,
            rules,
            pass,
            doorbell,
            subscribed_ever: AtomicBool::default(),
            wanted: Notify::new(),
            settling: AsyncMutex::default(),
            listeners: Mutex::default(),
            ringing: Mutex::default(),
            doors: Doors::default(),
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
        let Ringing { link, arrival: Arrival { id, peer, local, .. }, connection, is_foreign, accepted_tx } =
            ringing;
        if connection.is_some() {
            // Said before anybody can read of it: from now on nobody else gets it, whoever dies.
            link.ask(AgentCall::Accepted(id), None, drop);
        }
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
                Some(Effect::Unsubscribe(port)) => self.unsubscribe(port).await,
                None => break,
            }
        }
        let listeners = lock(&self.listeners);
        if let Err(error) = self.settings.ports().show(listeners.iter().map(|listener| listener.bound)) {
            tracing::error!(%error, "cannot write the page of ports");
        }
    }

    async fn subscribe(&self, subscription: Subscription) {
        let Subscription { wish, port } = subscription;
        let outcome = match self.agent.link().await {
            Some(link) => self.subscribe_at(&link, subscription).await,
            None => Err(Fault::with_words(libc::ENETDOWN, "the agent is gone")),
        };
        match &outcome {
            Ok(()) => tracing::info!(port = port.0, ?wish, "subscribed a port"),
            Err(fault) => self.complain(subscription, fault),
        }
        self.chronicle.tell(|| Some(Happening::subscription(subscription, outcome.is_ok())));
        if outcome.is_ok() {
            for link in self.links() {
                self.cover(&link, subscription).await;
            }
            self.subscribed_ever.store(true, Ordering::Relaxed);
            self.wanted.notify_one();
        }
        lock(&self.listeners).finish_subscribe(port, outcome.is_ok());
    }

    /// The same at one of several agents; the others go on without it.
    async fn cover(&self, link: &Link, subscription: Subscription) {
        if let Err(fault) = self.subscribe_at(link, subscription).await {
            self.complain(subscription, &fault);
        }
    }

    fn complain(&self, Subscription { wish, port }: Subscription, fault: &Fault) {
        tracing::warn!(port = port.0, ?wish, %fault, "cannot subscribe a port");
        let wished = if wish == Wish::Steal { "stolen" } else { "mirrored" };
        self.complaints.tell(&format!("port {} of the target is not {wished}: {fault}", port.0));
    }

    async fn subscribe_at(&self, link: &Link, subscription: Subscription) -> Result<(), Fault> {
        let Subscription { wish, port } = subscription;
        if lock(&self.covered).get(&link.id()).is_some_and(|ports| ports.contains(&port)) {
            return Ok(());
        }
        let pass = self.pass && wish == Wish::Steal;
        link.call(AgentCall::Subscribe(SubscribeCall { port, wish, pass }), None).await?;
        lock(&self.covered).entry(link.id()).or_default().insert(port);
        Ok(())
    }

    async fn unsubscribe(&self, port: Port) {
        for link in self.links() {
            let covers = lock(&self.covered).get_mut(&link.id()).is_some_and(|covered| covered.remove(&port));
            if covers {
                let outcome = link.call(AgentCall::Unsubscribe(port), None).await;
                tracing::info!(port = port.0, failed = ?outcome.err(), "gave a port back");
            }
        }
    }

    /// All agents at which something can be subscribed.
    fn links(&self) -> Vec<Link> {
        let mut links = lock(&self.links).clone();
        if let Some(current) = self.agent.current()
            && links.iter().all(|link| link.id() != current.id())
        {
            links.push(current);
        }
        links
    }

    /// One more agent stands: what is subscribed is subscribed there, too, from now on.
    pub(crate) async fn join(&self, link: &Link) {
        let _settling = self.settling.lock().await;
        lock(&self.links).push(link.clone());
        let subscriptions: Vec<_> = lock(&self.listeners).subscriptions().collect();
        for subscription in subscriptions {
            self.cover(link, subscription).await;
        }
    }

    /// One is gone, and what it had with it.
    pub(crate) fn leave(&self, link: &Link) {
        lock(&self.links).retain(|other| other.id() != link.id());
        lock(&self.covered).remove(&link.id());
    }

    /// What is subscribed, or asked for.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        lock(&self.listeners).subscriptions().collect()
    }

    /// Waits until something is subscribed.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}
