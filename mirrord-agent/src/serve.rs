//! Lanes as they come: who they belong to, and what they are for.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mirrord_protocol::{
    agent::{FromAgent, Hello, LaneKey, LaneOpen, Welcome, control::Farewell},
    fault::Fault,
    frame::encode_frame,
    id::ClientId,
    version::Version,
    wire,
};
use serde::Serialize;
use tokio::{
    io::unix::AsyncFd,
    net::UnixStream,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use crate::{
    incoming::{Event, Incoming},
    lanes::Lanes,
    link::{self, LaneReader, LinkError},
    outgoing,
    session::{self, Session},
    target::Target,
};

/// How long a lane may take to say what it is for, and an answer to be read at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the sessions may take to hear a farewell.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long bytes may not move before they are given up.
const STALL: Duration = Duration::from_secs(60);

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Agent {
    /// The target.
    pub(crate) target: Target,
    /// The traffic that it receives.
    pub(crate) incoming: Incoming,
    /// The threads that touch files.
    pub(crate) hands: Handle,
    sessions: Mutex<Sessions>,
    /// How many lanes of bytes or datagrams are carried.
    n_carried: watch::Sender<usize>,
    /// How the proxy has gone, once it has.
    gone: watch::Sender<Option<Gone>>,
}

/// How a proxy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// It has delivered all that its guest wrote, and said so.
    InOrder,
    /// It was killed.
    Suddenly,
}

#[derive(Debug, Default)]
struct Sessions {
    last: ClientId,
    living: HashMap<LaneKey, Arc<Session>>,
}

/// Serves until the proxy or the target is gone, and undoes everything.
///
/// # Errors
/// When the kernel does not let us wait.
pub(crate) async fn serve(lanes: Lanes, target: Target, hands: Handle) -> io::Result<()> {
    let arriving = lanes.arriving()?;
    let watch = target
        .watch()?
        .map(|watch| {
            // SAFETY: The descriptor is owned, and stays what it is until it is dropped.
            unsafe { AsyncFd::register(watch) }
        })
        .transpose()?;
    let (events_tx, events_rx) = mpsc::unbounded_channel();
    let agent = Arc::new(Agent {
        target,
        incoming: Incoming::start(events_tx),
        hands,
        sessions: Mutex::default(),
        n_carried: watch::Sender::default(),
        gone: watch::Sender::default(),
    });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(deliver(agent.clone(), events_rx));
    loop {
        tokio::select! {
            lane = arriving.next() => match lane {
                Ok(Some(lane)) => {
                    tokio::spawn(receive(agent.clone(), lane));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "no lane comes any more");
                    break;
                }
            },
            () = ended(watch.as_ref()) => {
                agent.say_farewell(&Farewell::TargetGone).await;
                break;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let gone = if arriving.has_parted() { Gone::InOrder } else { Gone::Suddenly };
    agent.gone.send_replace(Some(gone));
    agent.incoming.shutdown().await;
    if gone == Gone::InOrder {
        agent.drain().await;
    }
    Ok(())
}

/// Tells every session why there is no agent, until the proxy has gone.
///
/// # Errors
/// When the kernel does not let us wait.
pub(crate) async fn refuse(lanes: Lanes, why: &str) -> io::Result<()> {
    let arriving = lanes.arriving()?;
    while let Some(lane) = arriving.next().await? {
        let lane = Arc::new(lane);
        let mut reader = LaneReader::new(lane.clone());
        if let Ok(Ok(LaneOpen::Control(_))) = tokio::time::timeout(PATIENCE, open(&mut reader)).await {
            // Whoever does not read it learns from the end that there is nobody.
            let _ = answer(&lane, &Welcome::Refused(why.to_owned())).await;
        }
    }
    Ok(())
}

/// Waits for the end of the target's main process, for ever if there is none.
async fn ended(watch: Option<&AsyncFd<std::os::fd::OwnedFd>>) {
    match watch {
        Some(watch) => {
            if let Err(error) = watch.readable().await {
                tracing::warn!(%error, "the target cannot be watched");
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Brings what happens at subscribed ports to whom it concerns.
async fn deliver(agent: Arc<Agent>, mut events: mpsc::UnboundedReceiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Arrival { client, arrival, socket } => {
                let told = match agent.session_of(client) {
                    Some(session) => session.tell_arrival(arrival, socket),
                    None => Err(socket),
                };
                if let Err(untold) = told {
                    agent.incoming.return_arrival(client, arrival.id, untold).await;
                }
            }
            Event::Log { client, line } => {
                for session in agent.sessions_of(client) {
                    session.tell_log(line.clone());
                }
            }
        }
    }
}

/// Takes a new lane to where it belongs.
async fn receive(agent: Arc<Agent>, lane: UnixStream) {
    let lane = Arc::new(lane);
    let mut reader = LaneReader::new(lane.clone());
    let opened = match tokio::time::timeout(PATIENCE, open(&mut reader)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a lane did not say what it is for");
            let _ = answer(&lane, &FromAgent::Farewell(Farewell::Protocol(error.to_string()))).await;
            return;
        }
        Err(_) => return tracing::warn!("a lane did not say in time what it is for"),
    };
    let key = match &opened {
        LaneOpen::Control(hello) => return agent.welcome(hello, &lane, reader).await,
        LaneOpen::Connect(key, _) | LaneOpen::Datagrams(key, _) | LaneOpen::Arrival(key, _) => key,
    };
    let Some(session) = agent.session(key) else {
        let fault = Fault::with_words(libc::EACCES, "the lane shows the key of no session");
        let _ = answer(&lane, &Err::<(), _>(fault)).await;
        return;
    };
    agent.n_carried.send_modify(|n_carried| *n_carried += 1);
    tokio::select! {
        () = agent.cut(&session) => {}
        () = outgoing::lane(&agent, session.client, &lane, reader, opened) => {}
    }
    agent.n_carried.send_modify(|n_carried| *n_carried -= 1);
}

async fn open(reader: &mut LaneReader) -> Result<LaneOpen, LinkError> {
    let frame = reader.next_frame().await?;
    let frame = frame.ok_or_else(|| LinkError::Broken(io::ErrorKind::UnexpectedEof.into()))?;
    Ok(wire::decode(&frame)?)
}

/// Writes a lane's only frame.
///
/// # Errors
/// When the lane is gone.
pub(crate) async fn answer<T: Serialize>(lane: &UnixStream, answer: &T) -> io::Result<()> {
    link::send(lane, &encode_frame(answer).map_err(io::Error::other)?, None).await
}

impl Agent {
    /// Waits until a session's lanes are to be cut: never, if its proxy has parted in order. Then each has its own end.
    async fn cut(&self, session: &Session) {
        session.ended().await;
        let mut gone = self.gone.subscribe();
        let known = tokio::time::timeout(LAST_WORDS, gone.wait_for(Option::is_some)).await;
        let in_order = known.is_ok_and(|known| known.is_ok_and(|gone| *gone == Some(Gone::InOrder)));
        if in_order {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until what was written has been delivered, or nothing moves any more.
    async fn drain(&self) {
        let mut n_carried = self.n_carried.subscribe();
        let mut progress = outgoing::stream::progress();
        while tokio::time::timeout(STALL, n_carried.wait_for(|n_carried| *n_carried == 0)).await.is_err() {
            let now = outgoing::stream::progress();
            if now == progress {
                return tracing::warn!("what was still to be delivered does not move");
            }
            progress = now;
        }
    }

    async fn welcome(self: &Arc<Self>, hello: &Hello, lane: &Arc<UnixStream>, reader: LaneReader) {
        let Some(version) = Version::OURS.settle(hello.version) else {
            let words = format!("the agent speaks version {}, the proxy {}", Version::OURS, hello.version);
            let _ = answer(lane, &Welcome::Refused(words)).await;
            return;
        };
        let Ok(key) = random_key() else {
            let words = "the kernel gives no random bytes".to_owned();
            let _ = answer(lane, &Welcome::Refused(words)).await;
            return;
        };
        let (session, told) = self.begin(key, hello.owner.clone(), lane.clone());
        if answer(lane, &Welcome::Settled(version, key)).await.is_ok() {
            session::run(self, &session, reader, told).await;
        }
        self.finish(&key).await;
    }

    fn begin(
        &self,
        key: LaneKey,
        owner: String,
        lane: Arc<UnixStream>,
    ) -> (Arc<Session>, mpsc::UnboundedReceiver<session::News>) {
        let mut sessions = self.sessions();
        sessions.last = sessions.last.next();
        let (session, news) = Session::new(sessions.last, owner, lane);
        let session = Arc::new(session);
        sessions.living.insert(key, session.clone());
        (session, news)
    }

    async fn finish(&self, key: &LaneKey) {
        let Some(session) = self.sessions().living.remove(key) else { return };
        session.end();
        self.incoming.client_gone(session.client).await;
    }

    async fn say_farewell(&self, farewell: &Farewell) {
        let sessions: Vec<_> = self.sessions_of(None);
        let words = async {
            for session in sessions {
                session.say(&FromAgent::Farewell(farewell.clone()), None).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, words).await.is_err() {
            tracing::debug!("not every proxy has heard the farewell");
        }
    }

    fn session(&self, key: &LaneKey) -> Option<Arc<Session>> {
        self.sessions().living.get(key).cloned()
    }

    fn session_of(&self, client: ClientId) -> Option<Arc<Session>> {
        self.sessions_of(Some(client)).pop()
    }

    fn sessions_of(&self, client: Option<ClientId>) -> Vec<Arc<Session>> {
        let sessions = self.sessions();
        let concerned = |session: &&Arc<Session>| client.is_none_or(|client| session.client == client);
        sessions.living.values().filter(concerned).cloned().collect()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random_key() -> rustix::io::Result<LaneKey> {
    let mut key = [0; 16];
    let n_bytes = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
    if n_bytes == key.len() { Ok(LaneKey(key)) } else { Err(rustix::io::Errno::IO) }
}
