//! What all sessions share, and where each lane belongs.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mirrord_protocol::{
    agent::{
        FromAgent, Hello, LaneKey, LaneOpen, Welcome,
        control::{Farewell, Level, LogLine},
    },
    fault::Fault,
    frame::encode_frame,
    id::ClientId,
    version::Version,
    wire,
};
use mirrord_trunk::Parting;
use serde::Serialize;
use tokio::{
    net::UnixStream,
    runtime::Handle,
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};

use crate::{
    args::DnsOptions,
    calls,
    incoming::Incoming,
    link::{self, LaneReader, LinkError},
    origin::Origin,
    outgoing,
    session::{self, Session},
    target::Target,
};

/// How long a lane may take to say what it is for, and an answer to be read at the end.
pub(crate) const OPENING: Duration = Duration::from_secs(10);

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
    /// How names are asked for.
    pub(crate) dns: DnsOptions,
    /// Who may have a lane of calls.
    pub(crate) call_lanes: Arc<Semaphore>,
    sessions: Mutex<Sessions>,
    /// How many sessions have begun, and have not given back what they had.
    n_sessions: watch::Sender<usize>,
    /// How many lanes of bytes or datagrams are carried.
    n_carried: Arc<watch::Sender<usize>>,
}

/// A lane that is carried, or has not yet said what it is for.
#[derive(Debug)]
pub(crate) struct Carried(Arc<watch::Sender<usize>>);

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.send_modify(|n_carried| *n_carried -= 1);
    }
}

#[derive(Debug, Default)]
struct Sessions {
    last: ClientId,
    living: HashMap<LaneKey, Arc<Session>>,
}

/// Takes a new lane to where it belongs.
pub(crate) async fn receive(agent: Arc<Agent>, origin: Arc<Origin>, lane: UnixStream, carried: Carried) {
    let lane = Arc::new(lane);
    let mut reader = LaneReader::new(lane.clone());
    let opened = match tokio::time::timeout(OPENING, open(&mut reader)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a lane did not say what it is for");
            let _ = answer(&lane, &FromAgent::Farewell(Farewell::Protocol(error.to_string()))).await;
            return;
        }
        Err(_) => return tracing::warn!("a lane did not say in time what it is for"),
    };
    let key = match &opened {
        LaneOpen::Control(hello) => {
            drop(carried);
            return agent.welcome(hello, &origin, &lane, reader).await;
        }
        LaneOpen::Connect(key, _)
        | LaneOpen::Datagrams(key, _)
        | LaneOpen::Arrival(key, _)
        | LaneOpen::Calls(key) => key,
    };
    let Some(session) = agent.session(key, &origin) else {
        let fault = Fault::with_words(libc::EACCES, "the lane shows the key of no session");
        let _ = answer(&lane, &Err::<(), _>(fault)).await;
        return;
    };
    if let LaneOpen::Calls(_) = opened {
        // There is nothing in it that the end of the session would wait for.
        drop(carried);
        if let Err(error) = calls::lane(&agent, &session, &lane, reader).await {
            tracing::debug!(%error, "a lane of calls is gone before it begins");
        }
        return;
    }
    tokio::select! {
        () = cut(&session) => {}
        () = outgoing::lane(&agent, session.client, &lane, reader, opened) => {}
    }
    drop(carried);
}

/// Waits until a session's lanes are to be cut.
async fn cut(session: &Session) {
    session.ended().await;
    session.origin.cut().await;
}

/// The first frame of a lane.
///
/// # Errors
/// When it is none, or does not come.
pub(crate) async fn open(reader: &mut LaneReader) -> Result<LaneOpen, LinkError> {
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
    /// An agent without sessions.
    pub(crate) fn new(target: Target, incoming: Incoming, hands: Handle, dns: DnsOptions) -> Self {
        let (sessions, n_carried) = (Mutex::default(), Arc::default());
        let call_lanes = Arc::new(Semaphore::new(calls::MAX_LANES));
        let n_sessions = watch::Sender::default();
        Self { target, incoming, hands, dns, call_lanes, sessions, n_sessions, n_carried }
    }

    /// One lane more is carried.
    pub(crate) fn carry(&self) -> Carried {
        self.n_carried.send_modify(|n_carried| *n_carried += 1);
        Carried(self.n_carried.clone())
    }

    /// Waits until what was written has been delivered, or nothing moves any more.
    pub(crate) async fn drain(&self) {
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

    async fn welcome(
        self: &Arc<Self>,
        hello: &Hello,
        origin: &Arc<Origin>,
        lane: &Arc<UnixStream>,
        reader: LaneReader,
    ) {
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
        let (session, told) = self.begin(key, |client| {
            Session::new(client, hello.owner.clone(), version, origin.clone(), lane.clone())
        });
        for text in self.target.lacks().warnings() {
            session.tell_log(LogLine { level: Level::Warn, text });
        }
        if answer(lane, &Welcome::Settled(version, key)).await.is_ok() {
            session::run(self, &session, reader, told).await;
        }
        self.finish(&key).await;
    }

    fn begin(
        &self,
        key: LaneKey,
        make: impl FnOnce(ClientId) -> (Session, mpsc::UnboundedReceiver<session::News>),
    ) -> (Arc<Session>, mpsc::UnboundedReceiver<session::News>) {
        let mut sessions = self.sessions();
        sessions.last = sessions.last.next();
        let (session, news) = make(sessions.last);
        let session = Arc::new(session);
        sessions.living.insert(key, session.clone());
        self.n_sessions.send_modify(|n_sessions| *n_sessions += 1);
        (session, news)
    }

    async fn finish(&self, key: &LaneKey) {
        let Some(session) = self.sessions().living.remove(key) else { return };
        session.end();
        self.incoming.client_gone(session.client).await;
        self.n_sessions.send_modify(|n_sessions| *n_sessions -= 1);
    }

    /// Waits until those whose proxy is gone have been heard to their last word, and have given everything back.
    pub(crate) async fn hear_out(&self) {
        let mut n_sessions = self.n_sessions.subscribe();
        let heard = n_sessions.wait_for(|n_sessions| *n_sessions == 0);
        if tokio::time::timeout(LAST_WORDS, heard).await.is_err() {
            tracing::warn!("a proxy is gone, but its session does not end");
        }
    }

    /// Tells all sessions that the agent goes.
    pub(crate) async fn say_farewell(&self, farewell: &Farewell) {
        let mut telling = JoinSet::new();
        for session in self.sessions_where(|_| true) {
            let farewell = farewell.clone();
            // Whoever does not listen keeps nobody else from hearing it.
            telling.spawn(async move { session.say_farewell(farewell).await });
        }
        let words = async { while telling.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, words).await.is_err() {
            tracing::debug!("not every proxy has heard the farewell");
        }
    }

    /// Nobody's lanes are waited for any more.
    pub(crate) fn cut_all(&self) {
        for session in self.sessions_where(|_| true) {
            session.origin.leave(Parting::Suddenly);
        }
    }

    fn session(&self, key: &LaneKey, origin: &Arc<Origin>) -> Option<Arc<Session>> {
        let sessions = self.sessions();
        sessions.living.get(key).filter(|session| Arc::ptr_eq(&session.origin, origin)).cloned()
    }

    /// The sessions of which this is true.
    pub(crate) fn sessions_where(&self, is_meant: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        self.sessions().living.values().filter(|session| is_meant(session)).cloned().collect()
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
