//! How the agents of a session are found, made, reached and removed.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{Fuse, FusedFuture as _, join_all},
};
use mirrord_core::{cluster::Retries, target::Target};
use mirrord_kube::{
    AgentPod, Cluster, ClusterError, Found, Opened, Step, TargetPod, launch, port_forward::PortForward,
    remove, resolve,
};
use mirrord_protocol::fault::Fault;
use mirrord_trunk::{Near, NearEvent, NearOptions, pinned::Identity};
use tokio::sync::{Notify, mpsc};

use super::{
    dial::{AnyDial, PodDial},
    trouble::{Trouble, may_pass},
};
use crate::proxy::{
    lane::Lanes,
    link::{Events, Link},
    start::{ClusterPlace, Place},
};

/// How long removing what was made may take.
const REMOVE_TIME: Duration = Duration::from_secs(8);

/// How many strands a trunk has: one for small things, the others for bytes.
const N_STRANDS: usize = 4;

/// How an agent may take to say its first word, once it can be reached.
const GREET_TIME: Duration = Duration::from_secs(10);

/// How long is waited before each attempt to reach an agent whose pod has just been made.
const KNOCK_AGAIN: Duration = Duration::from_millis(75);

/// A trunk that has just been made, and what befalls it.
type Trunk = (Near, mpsc::UnboundedReceiver<NearEvent>);

/// How agents are found, made, reached and removed.
pub(crate) struct Reach {
    pub(super) ground: Ground,
    pub(super) patience: Patience,
    owner: String,
    identity: Option<Identity>,
    /// Every agent that was made or joined, and not removed yet.
    made: Mutex<Vec<AgentPod>>,
}

/// Where agents stand.
pub(super) enum Ground {
    /// In a cluster.
    Cluster(Cluster, Box<ClusterPlace>),
    /// Where somebody else has made one.
    Address(SocketAddr),
}

/// How long things may take.
pub(super) struct Patience {
    /// An agent waits so long for us, and we for it.
    pub(super) communication: Duration,
    /// A new one may take so long.
    pub(super) startup: Duration,
    /// After so long a silence the other side is asked whether it lives.
    keep_alive: Duration,
}

/// An agent that we are connected with.
pub(crate) struct Standing {
    /// Beside which pod; none without a target.
    pub(crate) target: Option<TargetPod>,
    /// Where it is; none if it is not in a cluster.
    pub(crate) agent: Option<AgentPod>,
    pub(crate) trunk: Near,
    pub(crate) trunk_events: mpsc::UnboundedReceiver<NearEvent>,
    pub(crate) link: Link,
    /// Whether it was reached before it said a word.
    pub(crate) is_unheard: bool,
}

impl Standing {
    /// The key of its pod.
    pub(crate) fn key(&self) -> String {
        self.target.as_ref().map(key).unwrap_or_default()
    }

    /// Where it is, in words.
    pub(crate) fn place(&self) -> String {
        match (&self.target, &self.agent) {
            (Some(target), _) => format!("pod `{}`", target.name),
            (None, Some(agent)) => format!("pod `{}`", agent.pod),
            (None, None) => "its address".to_owned(),
        }
    }
}

/// By which a pod is known: one whose container was started anew is another one, as far as agents are concerned.
pub(crate) fn key(pod: &TargetPod) -> String {
    format!("{}/{}", pod.uid, pod.container_id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reach {
    /// Prepares to reach what is no part of this machine.
    pub(crate) async fn new(place: &Place, owner: &str) -> Result<Self, Trouble> {
        let seconds = |communication: u32, startup, ping| Patience {
            communication: Duration::from_secs(communication.into()),
            startup: Duration::from_secs(startup),
            keep_alive: Duration::from_secs(ping),
        };
        let (ground, patience, identity) = match place {
            Place::Cluster(place) => {
                let agent = &place.agent;
                let identity = agent.ephemeral.then(Identity::new).transpose().map_err(Trouble::Identity)?;
                let patience =
                    seconds(agent.communication_timeout, agent.startup_timeout, place.ping_interval);
                let cluster = Cluster::connect(&place.cluster).await?;
                (Ground::Cluster(cluster, place.clone()), patience, identity)
            }
            Place::Address(place) => {
                let patience =
                    seconds(place.communication_timeout, place.startup_timeout, place.ping_interval);
                (Ground::Address(place.address), patience, None)
            }
            Place::Process(_) | Place::Network { .. } | Place::Here => {
                return Err(Trouble::Broken(io::ErrorKind::Unsupported.into()));
            }
        };
        let owner = owner.to_owned();
        Ok(Self { ground, patience, owner, identity, made: Mutex::default() })
    }

    /// What is reached, in words.
    pub(super) fn name(&self) -> String {
        match &self.ground {
            Ground::Cluster(_, place) => match &place.target {
                Target::Targetless => "the agent".to_owned(),
                target @ Target::Named { .. } => format!("`{target}`"),
            },
            Ground::Address(address) => format!("the agent at `{address}`"),
        }
    }

    /// The pods of the target; none without a target.
    pub(super) async fn find(&self) -> Result<Option<Found>, ClusterError> {
        match &self.ground {
            Ground::Cluster(cluster, place) if place.target != Target::Targetless => {
                resolve::find(cluster, &place.target).await.map(Some)
            }
            Ground::Cluster(..) | Ground::Address(_) => Ok(None),
        }
    }

    /// Makes an agent, or finds one that is there, and connects with it. `ended` is one that is not to be found again.
    pub(super) async fn stand(
        &self,
        target: Option<TargetPod>,
        ended: Option<AgentPod>,
        events: Events,
        tell: impl Fn(Step) + Send,
    ) -> Result<Standing, Trouble> {
        let (cluster, place) = match &self.ground {
            Ground::Address(address) => {
                let words = format!("`{address}`");
                return self.connect(target, None, AnyDial::Address(*address), words, events).await;
            }
            Ground::Cluster(cluster, place) => (cluster, place),
        };
        let (agent, trunk) = self.launch(cluster, place, target.as_ref(), ended.as_ref(), &tell).await?;
        let was_there = agent.was_there.then(|| agent.clone());
        let connected = self.connect_pod(cluster, target.clone(), agent, trunk, events.clone(), &tell).await;
        match (connected, was_there) {
            // It was somebody else's, and has just gone with them.
            (Err(trouble), Some(agent)) => {
                tracing::info!(%trouble, "the agent that was there is of no use");
                let (another, trunk) =
                    self.launch(cluster, place, target.as_ref(), Some(&agent), &tell).await?;
                self.connect_pod(cluster, target, another, trunk, events, &tell).await
            }
            (connected, _) => connected,
        }
    }

    /// Beside what else there is to do, removes what sessions have left that did not live to do it.
    pub(super) fn sweep(&self, agent: Option<&AgentPod>) {
        if let (Ground::Cluster(cluster, _), Some(agent)) = (&self.ground, agent) {
            remove::sweep(cluster, &agent.namespace);
        }
    }

    /// What the developer should know of an agent that stands: that it is of another version, and that it cannot be
    /// removed at the end, when nobody reads any more.
    pub(super) async fn notes(&self, agent: &AgentPod, is_unheard: bool) -> Vec<String> {
        let Ground::Cluster(cluster, _) = &self.ground else { return Vec::new() };
        let version = if is_unheard { launch::note_of(cluster, agent).await } else { None };
        let stays = remove::denied(cluster, agent).await.map(|denied| {
            let hint = denied.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("the agent's job stays after the session until the cluster removes it: {denied}{hint}")
        });
        version.into_iter().chain(stays).collect()
    }

    async fn launch(
        &self,
        cluster: &Cluster,
        place: &ClusterPlace,
        target: Option<&TargetPod>,
        ended: Option<&AgentPod>,
        tell: impl Fn(Step),
    ) -> Result<(AgentPod, Option<Trunk>), Trouble> {
        let key = self.identity.as_ref().map(|identity| identity.public().to_string());
        let (options, owner) = (&place.agent, &self.owner);
        let (seen_tx, mut seen_rx) = mpsc::unbounded_channel();
        let tell = |step| match step {
            Step::Seen(agent, opened) => drop(seen_tx.send((agent, opened))),
            step => tell(step),
        };
        let mut launching = pin!(async {
            match ended {
                None => Box::pin(launch::launch(cluster, options, target, key, owner, tell)).await,
                Some(ended) => {
                    Box::pin(launch::launch_again(cluster, options, target, key, owner, ended, tell)).await
                }
            }
        });
        let (heard, mut early) = (Notify::new(), None);
        let mut knocking = pin!(Fuse::terminated());
        let agent = loop {
            tokio::select! {
                launched = &mut launching => break launched?,
                Some((agent, opened)) = seen_rx.recv() => {
                    knocking.set(self.knock(cluster, agent, opened, &heard).fuse());
                }
                trunk = &mut knocking => early = trunk,
            }
        };
        lock(&self.made).push(agent.clone());
        // Whoever has said hello to it is not left standing there: it would wait for that one at the end.
        heard.notify_one();
        if !knocking.is_terminated() {
            early = knocking.await;
        }
        Ok((agent, early))
    }

    /// Reaches an agent as soon as it serves: sooner than its kubelet has noticed that it runs, and told everybody.
    /// None if it was `heard` before it was reached.
    async fn knock(
        &self,
        cluster: &Cluster,
        agent: AgentPod,
        opened: Opened,
        heard: &Notify,
    ) -> Option<Trunk> {
        let way = PortForward::early(cluster, &agent);
        loop {
            tokio::select! {
                () = tokio::time::sleep(KNOCK_AGAIN) => {}
                () = heard.notified() => return None,
            }
            let dial = AnyDial::Pod(Box::new(PodDial { way: way.clone(), key: None, identity: None }));
            match Near::connect(dial, self.options()).await {
                Ok(trunk) => {
                    opened.tell();
                    return Some(trunk);
                }
                Err(error) => tracing::debug!(%error, "the agent's door is not there yet"),
            }
        }
    }

    fn options(&self) -> NearOptions {
        NearOptions {
            n_strands: N_STRANDS,
            patience: self.patience.communication,
            keep_alive: self.patience.keep_alive,
        }
    }

    async fn connect_pod(
        &self,
        cluster: &Cluster,
        target: Option<TargetPod>,
        agent: AgentPod,
        trunk: Option<Trunk>,
        events: Events,
        tell: impl Fn(Step),
    ) -> Result<Standing, Trouble> {
        let words = format!("pod `{}`", agent.pod);
        if let Some(trunk) = trunk {
            let standing = self.greet(target, Some(agent), trunk, words, events).await?;
            return Ok(Standing { is_unheard: true, ..standing });
        }
        tell(Step::Waiting(format!("the agent in {words}")));
        let (way, key) = (PortForward::new(cluster, &agent), agent.key.clone());
        let dial = AnyDial::Pod(Box::new(PodDial { way, key, identity: self.identity.clone() }));
        self.connect(target, Some(agent), dial, words, events).await
    }

    async fn connect(
        &self,
        target: Option<TargetPod>,
        agent: Option<AgentPod>,
        dial: AnyDial,
        place: String,
        events: Events,
    ) -> Result<Standing, Trouble> {
        match Near::connect(dial, self.options()).await {
            Ok(trunk) => self.greet(target, agent, trunk, place, events).await,
            Err(source) => Err(Trouble::Trunk { place, source }),
        }
    }

    /// Says hello by a trunk that stands.
    async fn greet(
        &self,
        target: Option<TargetPod>,
        agent: Option<AgentPod>,
        (trunk, trunk_events): Trunk,
        place: String,
        events: Events,
    ) -> Result<Standing, Trouble> {
        let distance = self.patience.communication;
        let greeting = Link::greet(Lanes::There(trunk.clone()), distance, self.owner.clone(), events);
        let greeted = tokio::time::timeout(GREET_TIME, greeting).await;
        match greeted.unwrap_or_else(|_| Err(Fault::os(libc::ETIMEDOUT))) {
            Ok(link) => Ok(Standing { target, agent, trunk, trunk_events, link, is_unheard: false }),
            Err(source) => {
                trunk.part();
                Err(Trouble::Refused { place, source })
            }
        }
    }

    /// Waits until an agent has ended, where that can be known.
    pub(super) async fn ended(&self, agent: Option<&AgentPod>) {
        match (&self.ground, agent) {
            (Ground::Cluster(cluster, _), Some(agent)) => remove::ended(cluster, agent).await,
            _ => std::future::pending().await,
        }
    }

    /// Removes an agent, as far as it is ours. Given up before its end, it is done with all others.
    pub(crate) async fn remove(&self, agent: &AgentPod) {
        if let Ground::Cluster(cluster, _) = &self.ground {
            remove::remove(cluster, agent).await;
        }
        lock(&self.made).retain(|other| other != agent);
    }

    /// Removes everything that was made.
    pub(crate) async fn remove_all(&self) {
        let Ground::Cluster(cluster, _) = &self.ground else { return };
        let made = std::mem::take(&mut *lock(&self.made));
        let removing = join_all(made.iter().map(|agent| remove::remove(cluster, agent)));
        // What was being made when the session was given up is deleted by whoever was making it.
        let all_gone = async { tokio::join!(removing, cluster.settled()) };
        if tokio::time::timeout(REMOVE_TIME, all_gone).await.is_err() {
            tracing::warn!("not every agent could be removed; each ends by itself");
        }
    }
}

/// Asks again where nobody answered. Of an API server that answers to come later, the client takes care itself.
pub(crate) async fn retry<T, F: Future<Output = Result<T, ClusterError>>>(
    retries: Retries,
    mut attempt: impl FnMut() -> F,
) -> Result<T, ClusterError> {
    let mut pause = Duration::from_millis(retries.min_ms);
    for _ in 0..retries.n {
        match attempt().await {
            Err(error) if may_pass(&error) => {
                tracing::info!(%error, ?pause, "asking again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(retries.max_ms));
            }
            settled => return settled,
        }
    }
    attempt().await
}
