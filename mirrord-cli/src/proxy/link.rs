//! A link to one agent: asks it, and knows what to say when it is gone.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mirrord_core::proxy::{lost, pending::Pending};
use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, FromAgent, Hello, LaneKey, LaneOpen, ToAgent, Welcome,
        control::{Farewell, Level, LogLine},
        fs::FsAnswer,
        incoming::Arrival,
    },
    fault::Fault,
    frame::{FrameReader, encode_frame},
    version::Version,
    wire,
};
use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::unix::AsyncFd,
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{lane::Lanes, rights};

/// How often it is looked whether somebody has waited for too long.
const GLANCE: Duration = Duration::from_secs(5);

static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// What came of a call: the answer, and the descriptor that rode along.
pub(crate) type Outcome = Result<(AgentAnswer, Option<OwnedFd>), Fault>;

/// What an agent says unasked.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection has arrived, perhaps itself.
    Arrival(Link, Arrival, Option<OwnedFd>),
    /// It is gone, and its last words.
    Gone(Link, Option<Farewell>),
}

/// Where agents say it.
pub(crate) type Events = mpsc::UnboundedSender<Event>;

/// A link to an agent. Clones are the same link.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.0.id).finish()
    }
}

struct Inner {
    id: u64,
    began: Instant,
    /// How much longer an answer may take than from an agent that is here.
    distance: Duration,
    lanes: Lanes,
    version: Version,
    key: LaneKey,
    control: AsyncFd<OwnedFd>,
    pending: Mutex<Pending<Waiter>>,
    outbox: Mutex<VecDeque<Letter>>,
    blocked: Notify,
    is_gone: AtomicBool,
}

struct Waiter {
    fault: Fault,
    tell: Tell,
}

/// A frame that the kernel has not taken yet.
struct Letter {
    frame: Bytes,
    descriptor: Option<OwnedFd>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where an answer is told.
pub(crate) type Tell = Box<dyn FnOnce(Outcome) + Send>;

/// Asks by `ask`, and waits for the answer.
pub(crate) async fn wait(call: AgentCall, ask: impl FnOnce(AgentCall, Tell)) -> Outcome {
    let (answer_tx, answer_rx) = oneshot::channel();
    let fault = lost::fault(&call);
    ask(call, Box::new(move |outcome| drop(answer_tx.send(outcome))));
    answer_rx.await.unwrap_or(Err(fault))
}

impl Link {
    /// Says hello on the control lane, and listens to the agent from then on. `distance` is how long the way to it may
    /// be interrupted.
    pub(crate) async fn greet(
        lanes: Lanes,
        distance: Duration,
        owner: String,
        events: Events,
    ) -> Result<Self, Fault> {
        let control = lanes.open(&LaneOpen::Control(Hello { version: Version::OURS, owner }))?;
        let control = rights::watch(control.into())?;
        let mut inbox = Inbox::default();
        let welcome = inbox
            .next(&control)
            .await?
            .ok_or_else(|| Fault::with_words(libc::ECONNRESET, "the agent ended before it said a word"))?;
        let (version, key) = match wire::decode::<Welcome>(&welcome) {
            Ok(Welcome::Settled(version, key)) => (version, key),
            Ok(Welcome::Refused(words)) => return Err(Fault::with_words(libc::EPROTONOSUPPORT, words)),
            Err(error) => return Err(Fault::with_words(libc::EPROTO, error.to_string())),
        };
        let link = Self(Arc::new(Inner {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            began: Instant::now(),
            distance,
            lanes,
            version,
            key,
            control,
            pending: Mutex::default(),
            outbox: Mutex::default(),
            blocked: Notify::new(),
            is_gone: AtomicBool::new(false),
        }));
        tokio::spawn(link.clone().listen(inbox, events));
        tokio::spawn(link.clone().deliver());
        Ok(link)
    }

    /// By which this link is told from every other one of the session.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Whether the agent knows what was new in a version.
    pub(crate) fn speaks(&self, version: Version) -> bool {
        self.0.version >= version
    }

    /// Whether it has ended: what failed may have failed for that alone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_gone.load(Ordering::Acquire)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call(&self, call: AgentCall, descriptor: Option<OwnedFd>) -> Outcome {
        wait(call, |call, tell| self.ask(call, descriptor, tell)).await
    }

    /// Asks, from any thread; `tell` is called with the answer, on the thread that listens to the agent.
    pub(crate) fn ask(
        &self,
        call: AgentCall,
        descriptor: Option<OwnedFd>,
        tell: impl FnOnce(Outcome) + Send + 'static,
    ) {
        let waiter = Waiter { fault: lost::fault(&call), tell: Box::new(tell) };
        let until = self.0.began.elapsed() + lost::patience(&call) + self.0.distance;
        let begun = lock(&self.0.pending).begin(waiter, until);
        let id = match begun {
            Ok(id) => id,
            Err(waiter) => return (waiter.tell)(Err(waiter.fault)),
        };
        match encode_frame(&ToAgent { id, call, descriptor: descriptor.is_some() }) {
            Ok(frame) => self.post(Letter { frame, descriptor }),
            Err(error) => {
                let waiter = lock(&self.0.pending).finish(id);
                if let Some(waiter) = waiter {
                    (waiter.tell)(Err(Fault::with_words(libc::E2BIG, error.to_string())));
                }
            }
        }
    }

    /// Opens a lane for a stream.
    pub(crate) fn open_lane(&self, open: impl FnOnce(LaneKey) -> LaneOpen) -> Result<StdStream, Fault> {
        self.0.lanes.open(&open(self.0.key)).map_err(|error| match error.raw_os_error() {
            Some(libc::EPIPE | libc::ECONNRESET) => Fault::with_words(libc::ENETDOWN, "the agent is gone"),
            Some(libc::EMFILE | libc::ENFILE) => {
                Fault::with_words(libc::ENOBUFS, "the proxy has no descriptors left")
            }
            _ => Fault::from(error),
        })
    }

    /// Tells the agent that the session is over: it undoes what it did.
    pub(crate) fn part(&self) {
        self.0.lanes.close();
        self.cut();
    }

    /// Gives the agent up: whoever waits for an answer is told so.
    pub(crate) fn cut(&self) {
        let _ = shutdown(self.0.control.get_ref(), Shutdown::Both);
    }

    fn post(&self, letter: Letter) {
        let mut outbox = lock(&self.0.outbox);
        outbox.push_back(letter);
        if outbox.len() == 1 && !self.flush(&mut outbox) {
            self.0.blocked.notify_one();
        }
    }

    /// Sends what the kernel takes; tells whether that was all.
    fn flush(&self, outbox: &mut VecDeque<Letter>) -> bool {
        while let Some(letter) = outbox.front_mut() {
            let descriptor = letter.descriptor.as_ref().map(AsFd::as_fd);
            match rights::send(self.0.control.get_ref(), &[IoSlice::new(&letter.frame)], descriptor) {
                Ok(n_sent) => {
                    letter.descriptor = None;
                    drop(letter.frame.split_to(n_sent));
                    if letter.frame.is_empty() {
                        outbox.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The agent is gone: the listening side tells everybody.
                Err(_) => outbox.clear(),
            }
        }
        true
    }

    async fn deliver(self) {
        loop {
            self.0.blocked.notified().await;
            while let Ok(mut ready) = self.0.control.writable().await {
                let all_sent = self.flush(&mut lock(&self.0.outbox));
                if all_sent {
                    break;
                }
                ready.clear_ready();
            }
        }
    }

    async fn listen(self, mut inbox: Inbox, events: Events) {
        let mut farewell = None;
        let mut glance = tokio::time::interval(GLANCE);
        loop {
            let received = tokio::select! {
                received = inbox.next(&self.0.control) => received,
                _ = glance.tick() => {
                    self.give_up_overdue();
                    continue;
                }
            };
            let frame = match received {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "agent's lane of control broke");
                    break;
                }
            };
            match wire::decode::<FromAgent>(&frame) {
                Ok(FromAgent::Farewell(words)) => farewell = Some(words),
                Ok(message) => {
                    let Ok(()) = self.handle(message, &mut inbox, &events) else { break };
                }
                Err(error) => {
                    tracing::error!(%error, "agent's words make no sense");
                    break;
                }
            }
        }
        // Whatever ended it, the agent shall not believe that anybody still listens.
        let _ = shutdown(self.0.control.get_ref(), Shutdown::Both);
        self.0.is_gone.store(true, Ordering::Release);
        for waiter in lock(&self.0.pending).handle_lost() {
            (waiter.tell)(Err(waiter.fault));
        }
        drop(events.send(Event::Gone(self, farewell)));
    }

    /// Tells whoever has waited too long: no call is answered never.
    fn give_up_overdue(&self) {
        let overdue = lock(&self.0.pending).finish_overdue(self.0.began.elapsed());
        for Waiter { fault, tell } in overdue {
            tracing::warn!("the agent has not answered a call in time");
            tell(Err(Fault::with_words(fault.errno, "the agent does not answer")));
        }
    }

    fn handle(&self, message: FromAgent, inbox: &mut Inbox, events: &Events) -> Result<(), ()> {
        match message {
            FromAgent::Answer { id, outcome, descriptor } => {
                let descriptor = inbox.take_descriptor(descriptor)?;
                let waiter = lock(&self.0.pending).finish(id);
                let Some(waiter) = waiter else {
                    tracing::warn!(%id, "agent answered what nobody asked, or waited for");
                    if let Ok(AgentAnswer::Fs(FsAnswer::Opened { file: Some(file), .. })) = outcome {
                        self.ask(AgentCall::Close(file), None, drop);
                    }
                    return Ok(());
                };
                (waiter.tell)(match descriptor {
                    Rider::Lost => Err(Fault::with_words(libc::ENFILE, "the proxy has no descriptors left")),
                    Rider::None => outcome.map(|answer| (answer, None)),
                    Rider::Here(descriptor) => outcome.map(|answer| (answer, Some(descriptor))),
                });
            }
            FromAgent::Arrival(arrival) => {
                let connection = match inbox.take_descriptor(arrival.descriptor)? {
                    Rider::Lost => {
                        tracing::error!(?arrival, "cannot take a connection: no descriptors are left");
                        // The agent's own of it goes to the target.
                        self.ask(AgentCall::Return(arrival.id), None, drop);
                        return Ok(());
                    }
                    Rider::None => None,
                    Rider::Here(connection) => Some(connection),
                };
                drop(events.send(Event::Arrival(self.clone(), arrival, connection)));
            }
            FromAgent::Log(LogLine { level, text }) => match level {
                Level::Error => tracing::error!(target: "agent", "{text}"),
                Level::Warn => tracing::warn!(target: "agent", "{text}"),
                Level::Info => tracing::info!(target: "agent", "{text}"),
            },
            FromAgent::Farewell(_) => {}
        }
        Ok(())
    }
}

/// What rides along with a message.
enum Rider {
    None,
    Here(OwnedFd),
    /// It came when there was no number for it.
    Lost,
}

/// The most descriptors that wait for the frames that announce them.
const MOST_RIDERS: usize = 64;

/// Bytes and descriptors from the agent, cut into frames.
struct Inbox {
    reader: FrameReader,
    /// In the order of their frames; nothing stands for one that was lost.
    descriptors: VecDeque<Option<OwnedFd>>,
    buffer: Vec<u8>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { reader: FrameReader::default(), descriptors: VecDeque::new(), buffer: vec![0; 256 << 10] }
    }
}

impl Inbox {
    /// The next frame; none at the end.
    async fn next(&mut self, control: &AsyncFd<OwnedFd>) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.reader.next_frame().map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            let received = loop {
                let mut ready = control.readable().await?;
                let mut descriptors = VecDeque::new();
                let attempt = ready.try_io(|control| {
                    rights::receive_told(control.get_ref(), &mut self.buffer, &mut descriptors)
                });
                if let Ok(received) = attempt {
                    let received = received?;
                    self.descriptors.extend(descriptors.into_iter().map(Some));
                    self.descriptors.extend(received.is_cut.then_some(None));
                    break received.n_bytes;
                }
            };
            if received == 0 {
                return Ok(None);
            }
            if self.descriptors.len() > MOST_RIDERS {
                return Err(io::Error::other("descriptors came that nobody has announced"));
            }
            self.reader.feed(&self.buffer[..received]);
        }
    }

    /// The descriptor that a message says it has; an agent that lies is not listened to any more.
    fn take_descriptor(&mut self, expected: bool) -> Result<Rider, ()> {
        if !expected {
            return Ok(Rider::None);
        }
        match self.descriptors.pop_front() {
            Some(Some(descriptor)) => Ok(Rider::Here(descriptor)),
            Some(None) => Ok(Rider::Lost),
            None => {
                tracing::error!("agent announced a descriptor that did not come");
                Err(())
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
