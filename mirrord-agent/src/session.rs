//! One client: calls in, answers out.
//!
//! Calls are done side by side, and answered as they are done. Whatever writes to the control lane holds it for a
//! whole frame. A proxy that does not read its answers is asked for no further calls.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent, ToAgent,
        control::{Farewell, LogLine},
        fs::{FsCall, Want},
        incoming::{Arrival, Wish},
    },
    fault::Fault,
    frame::encode_frame,
    id::{ClientId, RequestId},
    version::Version,
    wire,
};
use tokio::{
    net::UnixStream,
    runtime::Handle,
    sync::{Mutex, Semaphore, mpsc, watch},
};

use crate::{
    agent::Agent,
    dns, env,
    fs::{self, Files},
    link::{self, LaneReader, LinkError},
    origin::Origin,
    outgoing,
    rights::Deed,
};

/// How many calls of a session may be under way.
const MAX_CALLS: usize = 512;

/// A client.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its number.
    pub(crate) client: ClientId,
    /// Whose it is.
    pub(crate) origin: Arc<Origin>,
    owner: String,
    version: Version,
    /// The control lane, for whoever writes a frame.
    lane: Arc<Mutex<Arc<UnixStream>>>,
    files: Files,
    news: mpsc::UnboundedSender<News>,
    over: watch::Sender<bool>,
}

/// What the agent says without being asked.
#[derive(Debug)]
pub(crate) enum News {
    /// A connection has arrived; it may ride along.
    Arrival(Arrival, Option<OwnedFd>),
    /// Words.
    Log(LogLine),
}

/// An answer, and what rides along.
pub(crate) type Answer = Result<(AgentAnswer, Option<OwnedFd>), Fault>;

impl Session {
    /// A client that has just come, and the news that it is to be told.
    pub(crate) fn new(
        client: ClientId,
        owner: String,
        version: Version,
        origin: Arc<Origin>,
        lane: Arc<UnixStream>,
    ) -> (Self, mpsc::UnboundedReceiver<News>) {
        let (news, told) = mpsc::unbounded_channel();
        let session = Self {
            client,
            origin,
            owner,
            version,
            lane: Arc::new(Mutex::new(lane)),
            files: Files::default(),
            news,
            over: watch::Sender::new(false),
        };
        (session, told)
    }

    /// Tells of an arrival; gives the connection back if the client has gone.
    pub(crate) fn tell_arrival(
        &self,
        arrival: Arrival,
        socket: Option<OwnedFd>,
    ) -> Result<(), Option<OwnedFd>> {
        self.news.send(News::Arrival(arrival, socket)).map_err(|unsent| match unsent.0 {
            News::Arrival(_, socket) => socket,
            News::Log(_) => None,
        })
    }

    /// Tells words; to nobody if the client has gone.
    pub(crate) fn tell_log(&self, line: LogLine) {
        let _ = self.news.send(News::Log(line));
    }

    /// The session is over: its lanes end.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // The sender is ours, and lives as long as we do.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Writes a frame, and says whether the proxy's end was there to take it.
    pub(crate) async fn say(&self, frame: &FromAgent, descriptor: Option<OwnedFd>) -> bool {
        let Ok(bytes) = encode_frame(frame) else { return false };
        let lane = self.lane.clone().lock_owned().await;
        self.send(&lane, &bytes, descriptor).await
    }

    /// Says that the agent goes, in words that the proxy knows.
    pub(crate) async fn say_farewell(&self, farewell: Farewell) {
        /// The first version that knows [`Farewell::Evicted`].
        const EVICTED: Version = Version { major: 1, minor: 1 };
        let farewell = match farewell {
            Farewell::Evicted if self.version < EVICTED => {
                Farewell::Failed("the agent was told to end".to_owned())
            }
            farewell => farewell,
        };
        self.say(&FromAgent::Farewell(farewell), None).await;
    }

    async fn send(&self, lane: &UnixStream, bytes: &[u8], descriptor: Option<OwnedFd>) -> bool {
        let sent = link::send(lane, bytes, descriptor.as_ref().map(OwnedFd::as_fd)).await;
        if let Err(error) = &sent {
            tracing::debug!(%error, client = %self.client, "a frame was not taken");
        }
        sent.is_ok()
    }

    async fn answer(&self, id: RequestId, answer: Answer) {
        let (bytes, descriptor) = encode_answer(id, answer);
        let lane = self.lane.clone().lock_owned().await;
        self.send(&lane, &bytes, descriptor).await;
    }

    /// Answers from a thread that may wait for files, but not for a proxy: what cannot be written at once is left to
    /// the runtime.
    fn answer_by_hand(self: Arc<Self>, id: RequestId, answer: Answer, runtime: &Handle) {
        let (bytes, mut descriptor) = encode_answer(id, answer);
        let lane = self.lane.clone().try_lock_owned();
        let mut n_sent = 0;
        if let Ok(lane) = &lane {
            match link::try_send(lane, &bytes, descriptor.as_ref().map(OwnedFd::as_fd)) {
                Ok(n_now) if n_now == bytes.len() => return,
                Ok(n_now) => {
                    n_sent = n_now;
                    descriptor = None;
                }
                // Whatever it is, it comes again, and is told there.
                Err(_) => {}
            }
        }
        runtime.spawn(async move {
            let lane = match lane {
                Ok(lane) => lane,
                Err(_) => self.lane.clone().lock_owned().await,
            };
            self.send(&lane, &bytes[n_sent..], descriptor).await;
        });
    }
}

/// An answer as it is written.
pub(crate) fn encode_answer(id: RequestId, answer: Answer) -> (Bytes, Option<OwnedFd>) {
    let (outcome, descriptor) = match answer {
        Ok((answer, descriptor)) => (Ok(answer), descriptor),
        Err(fault) => (Err(fault), None),
    };
    if let Ok(bytes) = encode_frame(&FromAgent::Answer { id, outcome, descriptor: descriptor.is_some() }) {
        return (bytes, descriptor);
    }
    let fault = Fault::with_words(libc::EMSGSIZE, "the answer is larger than a frame");
    let frame = FromAgent::Answer { id, outcome: Err(fault), descriptor: false };
    // A frame of a few words can be encoded.
    (encode_frame(&frame).unwrap_or_default(), None)
}

/// Serves a client until its control lane ends, or breaks the protocol.
pub(crate) async fn run(
    agent: &Arc<Agent>,
    session: &Arc<Session>,
    mut reader: LaneReader,
    mut news: mpsc::UnboundedReceiver<News>,
) {
    let teller = tell(agent, session, &mut news);
    let outcome = tokio::select! {
        outcome = listen(agent, session, &mut reader) => outcome,
        () = teller => Ok(()),
    };
    if let Err(error) = outcome {
        tracing::warn!(%error, client = %session.client, "the control lane ends");
        if !matches!(error, LinkError::Broken(_)) {
            let farewell = FromAgent::Farewell(Farewell::Protocol(error.to_string()));
            let _ =
                tokio::time::timeout(std::time::Duration::from_secs(1), session.say(&farewell, None)).await;
        }
    }
    news.close();
    while let Some(news) = news.recv().await {
        if let News::Arrival(arrival, socket) = news {
            agent.incoming.return_arrival(session.client, arrival.id, socket).await;
        }
    }
}

async fn tell(agent: &Arc<Agent>, session: &Arc<Session>, news: &mut mpsc::UnboundedReceiver<News>) {
    while let Some(news) = news.recv().await {
        match news {
            News::Arrival(arrival, socket) => {
                if !session.say(&FromAgent::Arrival(arrival), socket).await {
                    agent.incoming.return_arrival(session.client, arrival.id, None).await;
                    return;
                }
            }
            News::Log(line) => {
                session.say(&FromAgent::Log(line), None).await;
            }
        }
    }
}

async fn listen(
    agent: &Arc<Agent>,
    session: &Arc<Session>,
    reader: &mut LaneReader,
) -> Result<(), LinkError> {
    let runtime = Handle::current();
    // It is never closed, so that every wait for a permit ends with one.
    let permits = Arc::new(Semaphore::new(MAX_CALLS));
    while let Some(frame) = reader.next_frame().await? {
        let call: ToAgent = wire::decode(&frame)?;
        let descriptor = if call.descriptor { reader.take_descriptor()? } else { None };
        let id = call.id;
        // What is done in no time needs no task.
        match call.call {
            AgentCall::Ping => session.answer(id, DONE).await,
            AgentCall::Socket(call) => {
                let may = session.origin.takes_descriptors().and_then(|()| agent.target.permit(Deed::Reach));
                let made = may.and_then(|()| outgoing::socket(call));
                let made = made.map(|socket| (AgentAnswer::Done, Some(socket)));
                session.answer(id, made).await;
            }
            AgentCall::Route(to) => {
                let may = agent.target.permit(Deed::Reach);
                let found = may.and_then(|()| outgoing::udp::route(to).map_err(Fault::from));
                session.answer(id, found.map(|from| (AgentAnswer::Route(from), None))).await;
            }
            AgentCall::Close(file) => {
                session.files.close(file);
                session.answer(id, DONE).await;
            }
            // In its order: if this was said, the end of the lane comes too late to give the connection back.
            AgentCall::Accepted(arrival) => {
                agent.incoming.forget_arrival(session.client, arrival).await;
                session.answer(id, DONE).await;
            }
            AgentCall::Fs(call) => {
                let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
                let (agent, session, runtime) = (agent.clone(), session.clone(), runtime.clone());
                agent.hands.clone().spawn_blocking(move || {
                    let answer = files(&agent, &session, &call);
                    session.answer_by_hand(id, answer, &runtime);
                    drop(permit);
                });
            }
            call => {
                let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
                let (agent, session) = (agent.clone(), session.clone());
                tokio::spawn(async move {
                    let answer = tokio::select! {
                        () = session.ended() => return,
                        answer = perform(&agent, &session, call, descriptor) => answer,
                    };
                    session.answer(id, answer).await;
                    drop(permit);
                });
            }
        }
    }
    Ok(())
}

const DONE: Answer = Ok((AgentAnswer::Done, None));

/// Does a file call on the thread that it is on, and answers even if we are at fault.
pub(crate) fn files(agent: &Agent, session: &Session, call: &FsCall) -> Answer {
    agent.target.permit(Deed::Look)?;
    if let FsCall::Open { want: Want::Descriptor, .. } = call {
        session.origin.takes_descriptors()?;
    }
    let done = catch_unwind(AssertUnwindSafe(|| fs::perform(agent.target.root(), &session.files, call)));
    let (answer, descriptor) = done.unwrap_or_else(|_| Err(failed()))?;
    Ok((AgentAnswer::Fs(answer), descriptor))
}

fn failed() -> Fault {
    Fault::with_words(libc::EIO, "the agent failed at this")
}

async fn perform(
    agent: &Arc<Agent>,
    session: &Arc<Session>,
    call: AgentCall,
    descriptor: Option<OwnedFd>,
) -> Answer {
    match call {
        AgentCall::Describe => {
            let agent = agent.clone();
            let described = tokio::task::spawn_blocking(move || agent.target.describe()).await;
            described.map(|target| (AgentAnswer::Target(target), None)).map_err(|_| Fault::os(libc::EIO))
        }
        AgentCall::Environment(call) => {
            agent.target.permit(Deed::Look)?;
            env::environment(agent.target.pid(), &call)
                .map(|environment| (AgentAnswer::Environment(environment), None))
        }
        AgentCall::Dns(call) => {
            agent.target.permit(Deed::Reach)?;
            let config = by_hand(agent, |agent| Ok(dns::Config::read(agent.target.root()))).await?;
            let config = config.with(agent.dns);
            dns::ask(&config, &call).await.map(|answer| (AgentAnswer::Dns(answer), None))
        }
        AgentCall::UnixSocket(call) => {
            session.origin.takes_descriptors()?;
            by_hand(agent, move |agent| outgoing::unix::connect(&agent.target, &call))
                .await
                .map(|socket| (AgentAnswer::Done, Some(socket)))
        }
        AgentCall::BindUnix(call) => {
            session.origin.takes_descriptors()?;
            let socket = descriptor.ok_or_else(|| Fault::os(libc::EBADF))?;
            // Not by a hand, which may not change its root any more.
            let agent = agent.clone();
            let bound =
                tokio::task::spawn_blocking(move || outgoing::unix::bind(&agent.target, &call, &socket));
            bound.await.map_err(|_| failed())??;
            DONE
        }
        AgentCall::Subscribe(call) => {
            if call.pass {
                session.origin.takes_descriptors()?;
            }
            agent.target.permit(Deed::Reach)?;
            agent.target.permit(match call.wish {
                Wish::Steal => Deed::Redirect,
                Wish::Mirror => Deed::Capture,
            })?;
            agent.incoming.subscribe(session.client, session.owner.clone(), call).await?;
            DONE
        }
        AgentCall::Unsubscribe(port) => {
            agent.incoming.unsubscribe(session.client, port).await;
            DONE
        }
        AgentCall::Return(arrival) => {
            agent.incoming.return_arrival(session.client, arrival, descriptor).await;
            DONE
        }
        AgentCall::Ping
        | AgentCall::Socket(_)
        | AgentCall::Route(_)
        | AgentCall::Close(_)
        | AgentCall::Accepted(_)
        | AgentCall::Fs(_) => Err(Fault::os(libc::ENOSYS)),
    }
}

/// Does work on one of the threads that are the target's user.
pub(crate) async fn by_hand<T: Send + 'static>(
    agent: &Arc<Agent>,
    work: impl FnOnce(&Agent) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let agent_there = agent.clone();
    match agent.hands.spawn_blocking(move || work(&agent_there)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed()),
    }
}
