//! One client: calls in, answers out.
//!
//! Calls are done side by side, and answered as they are done. Whatever writes to the control lane holds it for a
//! whole frame. A proxy that does not read its answers is asked for no further calls.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent, ToAgent,
        control::{Farewell, LogLine},
        incoming::Arrival,
    },
    fault::Fault,
    frame::encode_frame,
    id::{ClientId, RequestId},
    wire,
};
use tokio::{
    net::UnixStream,
    sync::{Mutex, Semaphore, mpsc, watch},
};

use crate::{
    dns, env,
    fs::{self, Files},
    link::{self, LaneReader, LinkError},
    outgoing,
    serve::Agent,
};

/// How many calls of a session may be under way.
const MAX_CALLS: usize = 512;

/// A client.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its number.
    pub(crate) client: ClientId,
    owner: String,
    /// The control lane, for whoever writes a frame.
    lane: Mutex<Arc<UnixStream>>,
    files: Arc<Files>,
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
type Answer = Result<(AgentAnswer, Option<OwnedFd>), Fault>;

impl Session {
    /// A client that has just come, and the news that it is to be told.
    pub(crate) fn new(
        client: ClientId,
        owner: String,
        lane: Arc<UnixStream>,
    ) -> (Self, mpsc::UnboundedReceiver<News>) {
        let (news, told) = mpsc::unbounded_channel();
        let session = Self {
            client,
            owner,
            lane: Mutex::new(lane),
            files: Arc::default(),
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
        let lane = self.lane.lock().await;
        let sent = link::send(&lane, &bytes, descriptor.as_ref().map(OwnedFd::as_fd)).await;
        if let Err(error) = &sent {
            tracing::debug!(%error, client = %self.client, "a frame was not taken");
        }
        sent.is_ok()
    }

    async fn answer(&self, id: RequestId, answer: Answer) {
        let (outcome, descriptor) = match answer {
            Ok((answer, descriptor)) => (Ok(answer), descriptor),
            Err(fault) => (Err(fault), None),
        };
        let frame = FromAgent::Answer { id, outcome, descriptor: descriptor.is_some() };
        if encode_frame(&frame).is_err() {
            let fault = Fault::with_words(libc::EMSGSIZE, "the answer is larger than a frame");
            self.say(&FromAgent::Answer { id, outcome: Err(fault), descriptor: false }, None).await;
            return;
        }
        self.say(&frame, descriptor).await;
    }
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
                let kept = socket.as_ref().and_then(|socket| socket.try_clone().ok());
                if !session.say(&FromAgent::Arrival(arrival), socket).await {
                    agent.incoming.return_arrival(session.client, arrival.id, kept).await;
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
    let permits = Arc::new(Semaphore::new(MAX_CALLS));
    while let Some(frame) = reader.next_frame().await? {
        let call: ToAgent = wire::decode(&frame)?;
        let descriptor = if call.descriptor { Some(reader.take_descriptor()?) } else { None };
        let id = call.id;
        // What is done in no time needs no task.
        match call.call {
            AgentCall::Ping => session.answer(id, DONE).await,
            AgentCall::Socket(call) => {
                let made = outgoing::socket(call).map(|socket| (AgentAnswer::Done, Some(socket)));
                session.answer(id, made).await;
            }
            AgentCall::Close(file) => {
                session.files.close(file);
                session.answer(id, DONE).await;
            }
            call => {
                // The semaphore is never closed.
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
        AgentCall::Environment(call) => env::environment(agent.target.pid(), &call)
            .map(|environment| (AgentAnswer::Environment(environment), None)),
        AgentCall::Fs(call) => {
            let files = session.files.clone();
            by_hand(agent, move |agent| {
                fs::perform(agent.target.root(), &files, &call)
                    .map(|(answer, descriptor)| (AgentAnswer::Fs(answer), descriptor))
            })
            .await
        }
        AgentCall::Dns(call) => {
            let config = by_hand(agent, |agent| Ok(dns::Config::read(agent.target.root()))).await?;
            dns::ask(&config, &call).await.map(|answer| (AgentAnswer::Dns(answer), None))
        }
        AgentCall::UnixSocket(call) => {
            by_hand(agent, move |agent| outgoing::unix::connect(agent.target.root(), &call))
                .await
                .map(|socket| (AgentAnswer::Done, Some(socket)))
        }
        AgentCall::Subscribe(call) => {
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
        AgentCall::Ping | AgentCall::Socket(_) | AgentCall::Close(_) => Err(Fault::os(libc::ENOSYS)),
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
        Err(_) => Err(Fault::with_words(libc::EIO, "the agent failed at this")),
    }
}
