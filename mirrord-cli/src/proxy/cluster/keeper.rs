//! Keeps agents beside the target while the session lasts: waits for what is cut, and replaces what is gone.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use mirrord_core::{
    proxy::crowd::{Crowd, Effect},
    target::Target,
};
use mirrord_kube::{AgentPod, TargetPod, follow};
use mirrord_protocol::agent::control::Farewell;
use mirrord_trunk::NearEvent;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::{
    reach::{Ground, Reach, Standing, key},
    trouble::Trouble,
};
use crate::proxy::{
    agent::Agent,
    complain::Complaints,
    incoming::Incoming,
    layers::Layers,
    link::{Events, Link},
};

/// How long a trunk is away before the developer hears of it.
const SILENT_TIME: Duration = Duration::from_secs(2);

/// How long to wait between two attempts to find another agent: at first, and after many.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

/// How soon a pod is tried again that could not be joined.
const JOIN_AGAIN: Duration = Duration::from_secs(20);

/// How long goodbyes may take.
const PART_TIME: Duration = Duration::from_secs(5);

/// What happens to agents and their pods.
enum News {
    /// To the trunk of the agent at this key and link.
    Trunk(String, u64, NearEvent),
    /// A trunk has been away for a while.
    StillAway(String, u64),
    /// An agent has ended while its trunk was away.
    Over(String, u64),
    /// A link has ended.
    Gone(u64, Option<Farewell>),
    /// A pod was joined, or cannot be.
    Joined(String, Result<Box<Standing>, Trouble>),
    /// A pod that could not be joined may be tried again.
    Retry(String),
    /// Another agent was found for the session.
    Found(Box<Standing>),
    /// None was found within the time that agents have to start; it is looked for on.
    NotFound(Trouble),
    /// The target's pods.
    Ready(Vec<TargetPod>),
    /// The guest wants incoming connections.
    Wanted,
}

/// Who tells of the ends of links.
#[derive(Clone)]
pub(crate) struct KeeperEar(mpsc::UnboundedSender<News>);

impl KeeperEar {
    /// A link has ended.
    pub(crate) fn tell_gone(&self, link: &Link, farewell: Option<Farewell>) {
        drop(self.0.send(News::Gone(link.id(), farewell)));
    }
}

/// An agent that stands.
struct Member {
    standing: Standing,
    /// What waits for news while its trunk is away.
    away: Option<AbortHandle>,
    /// Whether the developer has heard that it is.
    was_told: bool,
}

/// Keeps agents beside the target.
pub(crate) struct Keeper {
    reach: Arc<Reach>,
    agent: Agent,
    layers: Arc<Layers>,
    complaints: Arc<Complaints>,
    events: Events,
    crowd: Crowd,
    members: HashMap<String, Member>,
    /// The agent that was the session's, and is gone.
    last_ended: Option<AgentPod>,
    /// Every ready pod, by its key.
    ready: HashMap<String, TargetPod>,
    news_tx: mpsc::UnboundedSender<News>,
    news_rx: mpsc::UnboundedReceiver<News>,
    tasks: JoinSet<()>,
    /// Each tells of one trunk, and ends with it.
    trunks: JoinSet<()>,
}

impl Keeper {
    /// Keeps the agent that stands, and whatever follows it.
    pub(crate) fn new(
        reach: Arc<Reach>,
        first: Standing,
        agent: Agent,
        layers: Arc<Layers>,
        complaints: Arc<Complaints>,
        events: Events,
    ) -> Self {
        let (news_tx, news_rx) = mpsc::unbounded_channel();
        let mut keeper = Self {
            reach,
            agent,
            layers,
            complaints,
            events,
            crowd: Crowd::new(first.key()),
            members: HashMap::new(),
            last_ended: None,
            ready: HashMap::new(),
            news_tx,
            news_rx,
            tasks: JoinSet::new(),
            trunks: JoinSet::new(),
        };
        keeper.agent.keep();
        keeper.tell_notes(&first);
        keeper.admit(first);
        keeper.follow();
        keeper
    }

    /// Where ends of links are told.
    pub(crate) fn ear(&self) -> KeeperEar {
        KeeperEar(self.news_tx.clone())
    }

    /// Keeps, until it is dropped.
    pub(crate) async fn keep(&mut self) {
        loop {
            tokio::select! {
                news = self.news_rx.recv() => if let Some(news) = news { self.handle(news) },
                Some(_) = self.tasks.join_next() => {}
                Some(_) = self.trunks.join_next() => {}
            }
            while let Some(effect) = self.crowd.poll_effect() {
                match effect {
                    Effect::Join(key) => self.join(key),
                    Effect::Represent(key) => self.represent(&key),
                    Effect::Seek => self.seek(),
                }
            }
        }
    }

    /// Parts from all agents in order, and removes them.
    pub(crate) async fn part(mut self) {
        self.tasks.shutdown().await;
        for member in self.members.values() {
            member.standing.link.part();
        }
        let all_parted = async { while self.trunks.join_next().await.is_some() {} };
        if tokio::time::timeout(PART_TIME, all_parted).await.is_err() {
            tracing::info!("an agent still delivers what guests have written");
        }
        self.reach.remove_all().await;
    }
}

impl Keeper {
    fn handle(&mut self, news: News) {
        match news {
            News::Trunk(key, link, event) => self.handle_trunk(&key, link, event),
            News::StillAway(key, link) => {
                if let Some(member) = self.member(&key, link)
                    && member.away.is_some()
                {
                    member.was_told = true;
                    let place = member.standing.place();
                    self.complaints.tell(&format!(
                        "the connection to the agent of {place} was cut; what needs it waits until it is back"
                    ));
                }
            }
            News::Over(key, link) => {
                if self.member(&key, link).is_some() {
                    self.lose(&key, None, Some("it has ended".to_owned()));
                }
            }
            News::Gone(link, farewell) => {
                let member = self.members.iter().find(|(_, member)| member.standing.link.id() == link);
                if let Some(key) = member.map(|(key, _)| key.clone()) {
                    self.lose(&key, farewell, None);
                }
            }
            News::Joined(key, Ok(standing)) => {
                self.crowd.finish_join(&key, true);
                self.subscribe(standing.link.clone());
                self.admit(*standing);
            }
            News::Joined(key, Err(trouble)) => {
                self.crowd.finish_join(&key, false);
                let pod = self.ready.get(&key).map(|pod| pod.name.clone()).unwrap_or_default();
                tracing::warn!(pod, %trouble, "a pod cannot be joined");
                let words = trouble.words().join(": ");
                self.complaints.tell(&format!("the traffic of pod `{pod}` stays with it: {words}"));
                let news_tx = self.news_tx.clone();
                self.tasks.spawn(async move {
                    tokio::time::sleep(JOIN_AGAIN).await;
                    drop(news_tx.send(News::Retry(key)));
                });
            }
            News::Retry(key) => self.crowd.handle_retry(&key),
            News::Found(standing) => self.handle_found(*standing),
            News::NotFound(trouble) => {
                self.agent.lose();
                let (words, hint) = (trouble.words().join(": "), trouble.hint());
                let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                self.complaints.tell(&format!(
                    "{} is lost, and calls of the program that go there fail until it is found again: {words}{hint}",
                    self.reach.name()
                ));
            }
            News::Ready(pods) => {
                self.ready = pods.into_iter().map(|pod| (key(&pod), pod)).collect();
                self.crowd.handle_ready(self.ready.keys().cloned());
            }
            News::Wanted => self.crowd.handle_wanted(),
        }
    }

    fn incoming(&self) -> &Arc<Incoming> {
        &self.layers.session.incoming
    }

    fn member(&mut self, key: &str, link: u64) -> Option<&mut Member> {
        self.members.get_mut(key).filter(|member| member.standing.link.id() == link)
    }

    fn handle_trunk(&mut self, key: &str, link: u64, event: NearEvent) {
        let member = self.members.get_mut(key).filter(|member| member.standing.link.id() == link);
        let Some(member) = member else { return };
        match event {
            NearEvent::Away(why) => {
                tracing::warn!(key, why, "the connection to an agent was cut");
                let (reach, news_tx) = (self.reach.clone(), self.news_tx.clone());
                let (agent, key) = (member.standing.agent.clone(), key.to_owned());
                member.away = Some(self.tasks.spawn(async move {
                    let mut end = pin!(reach.ended(agent.as_ref()));
                    tokio::select! {
                        () = tokio::time::sleep(SILENT_TIME) => {
                            drop(news_tx.send(News::StillAway(key.clone(), link)));
                            end.await;
                        }
                        () = &mut end => {}
                    }
                    drop(news_tx.send(News::Over(key, link)));
                }));
            }
            NearEvent::Back(after) => {
                tracing::info!(key, ?after, "the connection to an agent is back");
                if let Some(waiting) = member.away.take() {
                    waiting.abort();
                }
                if std::mem::take(&mut member.was_told) {
                    let place = member.standing.place();
                    self.complaints.tell(&format!("the connection to the agent of {place} is back"));
                }
            }
            NearEvent::Lost(why) => self.lose(key, None, Some(why)),
        }
    }

    /// Takes an agent in.
    fn admit(&mut self, mut standing: Standing) {
        let (key, link) = (standing.key(), standing.link.id());
        let (_, nothing) = mpsc::unbounded_channel();
        let mut trunk_events = std::mem::replace(&mut standing.trunk_events, nothing);
        let (news_tx, whose) = (self.news_tx.clone(), key.clone());
        self.trunks.spawn(async move {
            while let Some(event) = trunk_events.recv().await {
                drop(news_tx.send(News::Trunk(whose.clone(), link, event)));
            }
        });
        self.members.insert(key, Member { standing, away: None, was_told: false });
    }

    /// Tells the developer what there is to know of the first agent.
    fn tell_notes(&mut self, standing: &Standing) {
        let (Some(agent), is_unheard) = (standing.agent.clone(), standing.is_unheard) else { return };
        let (reach, complaints) = (self.reach.clone(), self.complaints.clone());
        self.tasks.spawn(async move {
            for note in reach.notes(&agent, is_unheard).await {
                complaints.tell(&note);
            }
        });
    }

    /// An agent or its pod is gone.
    fn lose(&mut self, key: &str, farewell: Option<Farewell>, why: Option<String>) {
        let Some(member) = self.members.remove(key) else { return };
        let Standing { agent, link, trunk, .. } = &member.standing;
        tracing::warn!(key, ?farewell, ?why, "an agent is gone");
        let was_representative = self.crowd.representative() == Some(key);
        if was_representative {
            // Before its last callers hear that it is gone: they may ask again.
            self.agent.seek();
            self.last_ended.clone_from(agent);
        }
        self.incoming().leave(link);
        link.cut();
        // It is known to be gone: nothing that waits for it is worth waiting for.
        trunk.give_up("the agent is gone");
        if let Some(agent) = agent.clone() {
            let reach = self.reach.clone();
            self.tasks.spawn(async move { reach.remove(&agent).await });
        }
        self.crowd.handle_gone(key);
        if was_representative {
            let place = member.standing.place();
            let what = match farewell {
                Some(Farewell::TargetGone) => format!("{place} is gone"),
                Some(Farewell::Failed(words) | Farewell::Protocol(words)) => {
                    format!("the agent of {place} is gone: {words}")
                }
                _ => format!(
                    "the agent of {place} is gone{}",
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                ),
            };
            self.complaints.tell(&format!("{what}; another one is looked for"));
        }
    }

    /// Another agent, which stands already, takes the place of the one that is gone.
    fn represent(&mut self, key: &str) {
        let Some(member) = self.members.get(key) else { return };
        self.agent.set(&member.standing.link);
        self.layers.session.files.forget();
        self.complaints.tell(&format!("the session goes on at {}", member.standing.place()));
    }

    fn handle_found(&mut self, standing: Standing) {
        let (key, link, place) = (standing.key(), standing.link.clone(), standing.place());
        self.admit(standing);
        self.crowd.handle_found(key);
        self.agent.set(&link);
        self.layers.session.files.forget();
        self.subscribe(link);
        self.complaints.tell(&format!("the session goes on at {place}"));
    }

    /// Has what is subscribed subscribed at one more agent.
    fn subscribe(&mut self, link: Link) {
        let incoming = self.incoming().clone();
        self.tasks.spawn(async move { incoming.join(&link).await });
    }

    /// Lets an agent stand beside one more pod.
    fn join(&mut self, key: String) {
        let Some(pod) = self.ready.get(&key).cloned() else { return self.crowd.finish_join(&key, false) };
        let (reach, events, news_tx) = (self.reach.clone(), self.events.clone(), self.news_tx.clone());
        self.tasks.spawn(async move {
            let joined = reach.stand(Some(pod), None, events, |_| {}).await;
            drop(news_tx.send(News::Joined(key, joined.map(Box::new))));
        });
    }

    /// Looks for another agent, until there is one.
    fn seek(&mut self) {
        self.agent.seek();
        let ended = self.last_ended.take();
        let (reach, events, news_tx) = (self.reach.clone(), self.events.clone(), self.news_tx.clone());
        self.tasks.spawn(async move {
            let despair = tokio::time::Instant::now() + reach.patience.startup;
            let mut has_despaired = false;
            loop {
                let trouble = match seek_once(&reach, ended.clone(), events.clone()).await {
                    Ok(standing) => return drop(news_tx.send(News::Found(Box::new(standing)))),
                    Err(trouble) => trouble,
                };
                tracing::info!(%trouble, "no agent yet");
                if !has_despaired && tokio::time::Instant::now() >= despair {
                    has_despaired = true;
                    drop(news_tx.send(News::NotFound(trouble)));
                }
                tokio::time::sleep(PAUSES[usize::from(has_despaired)]).await;
            }
        });
    }

    /// Follows the target's pods, once the guest wants what arrives at all of them.
    fn follow(&mut self) {
        let Ground::Cluster(cluster, place) = &self.reach.ground else { return };
        if place.target == Target::Targetless {
            return;
        }
        let (cluster, target) = (cluster.clone(), place.target.clone());
        let (incoming, news_tx) = (self.incoming().clone(), self.news_tx.clone());
        self.tasks.spawn(async move {
            incoming.wanted().await;
            drop(news_tx.send(News::Wanted));
            let mut pods = pin!(follow::pods(&cluster, &target));
            while let Some(pods) = pods.next().await {
                drop(news_tx.send(News::Ready(pods)));
            }
        });
    }
}

async fn seek_once(reach: &Reach, ended: Option<AgentPod>, events: Events) -> Result<Standing, Trouble> {
    let found = reach.find().await?;
    reach.stand(found.map(|found| found.representative), ended, events, |_| {}).await
}
