//! The one task that holds `core::steal`: commands and connections in, effects and arrivals out.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    io,
    os::fd::OwnedFd,
    time::Duration,
};

use mirrord_core::steal::{Arrivals, Effect, Route, Subscriptions};
use mirrord_protocol::{
    agent::{
        control::{Level, LogLine},
        incoming::{Arrival, Port, SubscribeCall, Wish},
    },
    fault::Fault,
    id::{ArrivalId, ClientId},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Event, Hearing, Taken,
    arrive::{Redirected, accept_all},
    copy::{Capture, News},
    pass::pass,
    redirect::Redirection,
};

/// How long an announced connection waits to be taken. A guest may be slow to accept, and a proxy that knows that
/// nobody will gives it back; this is for one that forgets.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long, after the last rule is gone, a handshake that it redirected may still take.
const HANDSHAKE: Duration = Duration::from_millis(200);

/// How long connections that are passed to the target may keep a closing agent: less than its proxy waits for it.
const FAREWELL: Duration = Duration::from_secs(4);

/// What the handle asks of the driver; each is answered when it is done.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe {
        client: ClientId,
        owner: String,
        call: SubscribeCall,
        reply: oneshot::Sender<Result<(), Fault>>,
    },
    Unsubscribe {
        client: ClientId,
        port: Port,
        reply: oneshot::Sender<()>,
    },
    Gone {
        client: ClientId,
        reply: oneshot::Sender<()>,
    },
    Away {
        client: ClientId,
        reply: oneshot::Sender<()>,
    },
    Back {
        client: ClientId,
        reply: oneshot::Sender<()>,
    },
    Return {
        client: ClientId,
        arrival: ArrivalId,
        socket: Option<OwnedFd>,
        reply: oneshot::Sender<()>,
    },
    Forget {
        client: ClientId,
        arrival: ArrivalId,
        reply: oneshot::Sender<()>,
    },
    Take {
        client: ClientId,
        arrival: ArrivalId,
        reply: oneshot::Sender<Option<Taken>>,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// A connection that waits for its client's lane, or for its guest.
#[derive(Debug)]
enum Cargo {
    Stolen(Redirected),
    Mirrored(Hearing),
    /// Ours of a connection that was passed: if its proxy dies before a guest has it, the target gets this.
    Passed(OwnedFd),
}

/// The task's state.
#[derive(Debug)]
pub(super) struct Driver {
    events: mpsc::UnboundedSender<Event>,
    subscriptions: Subscriptions,
    captured: BTreeSet<Port>,
    arrivals: Arrivals<Cargo>,
    /// Passed connections of which we had no descriptor for ourselves: only these can come back.
    given: BTreeSet<ArrivalId>,
    redirection: Option<Redirecting>,
    capture: Option<Capturing>,
    passing: JoinSet<()>,
    began: Instant,
}

#[derive(Debug)]
struct Redirecting {
    redirection: Redirection,
    accepted: mpsc::UnboundedReceiver<Redirected>,
    agent_ports: BTreeSet<u16>,
}

#[derive(Debug)]
struct Capturing {
    capture: Capture,
    news: mpsc::UnboundedReceiver<News>,
}

impl Driver {
    pub(super) fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            events,
            subscriptions: Subscriptions::default(),
            captured: BTreeSet::new(),
            arrivals: Arrivals::new(PATIENCE),
            given: BTreeSet::new(),
            redirection: None,
            capture: None,
            passing: JoinSet::new(),
            began: Instant::now(),
        }
    }

    /// Until it is told to shut down, or nobody can tell it anything any more.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let reply = loop {
            let deadline = self.arrivals.next_deadline().map(|deadline| self.began + deadline);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.handle_command(command),
                    None => break None,
                },
                redirected = next_redirected(self.redirection.as_mut()) => self.handle_redirected(redirected),
                news = next_news(self.capture.as_mut()) => self.handle_news(news),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    let mut overdue = self.arrivals.finish_overdue(self.began.elapsed());
                    // Its guest may still come for it.
                    overdue.retain(|cargo| !matches!(cargo, Cargo::Passed(_)));
                    self.pass_all(overdue);
                }
                Some(_) = self.passing.join_next() => {}
            }
        };
        self.shut_down().await;
        // Whoever still asks is answered by the end of the channel.
        drop(commands);
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Subscribe { client, owner, call, reply } => {
                self.subscriptions.handle_subscribe(client, &owner, call);
                let _ = reply.send(self.apply());
            }
            Command::Unsubscribe { client, port, reply } => {
                self.subscriptions.handle_unsubscribe(client, port);
                self.undo();
                let _ = reply.send(());
            }
            Command::Gone { client, reply } => {
                self.subscriptions.handle_gone(client);
                self.undo();
                let left = self.arrivals.finish_all(client);
                self.pass_all(left);
                let _ = reply.send(());
            }
            Command::Away { client, reply } => {
                self.subscriptions.handle_away(client);
                self.undo();
                let left = self.arrivals.finish_all(client);
                self.pass_all(left);
                let _ = reply.send(());
            }
            Command::Back { client, reply } => {
                self.subscriptions.handle_back(client);
                for fault in self.apply_all() {
                    let text = format!("not everything is as before the connection was lost: {fault}");
                    self.log(Some(client), Level::Error, text);
                }
                let _ = reply.send(());
            }
            Command::Return { client, arrival, socket, reply } => {
                self.take_back(client, arrival, socket);
                let _ = reply.send(());
            }
            Command::Forget { client, arrival, reply } => {
                drop(self.arrivals.finish(client, arrival));
                self.given.remove(&arrival);
                let _ = reply.send(());
            }
            Command::Take { client, arrival, reply } => {
                let taken = self.arrivals.finish(client, arrival).and_then(|cargo| match cargo {
                    Cargo::Stolen(redirected) => Some(Taken::Stolen(redirected.stream)),
                    Cargo::Mirrored(hearing) => Some(Taken::Mirrored(hearing)),
                    // Its client has it already.
                    Cargo::Passed(_) => None,
                });
                let _ = reply.send(taken);
            }
            Command::Shutdown { .. } => {}
        }
    }

    /// Does what the subscriptions ask for. A failure is that of the one who subscribed last.
    fn apply(&mut self) -> Result<(), Fault> {
        self.apply_all().into_iter().next().map_or(Ok(()), Err)
    }

    /// Does what the subscriptions ask for, and returns what could not be done.
    fn apply_all(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        while let Some(effect) = self.subscriptions.poll_effect() {
            let done = match &effect {
                Effect::Redirect { port, owner } => self.redirect(*port, owner),
                Effect::Restore(port) => self.restore(*port),
                Effect::Capture(port) => {
                    self.captured.insert(*port);
                    self.begin_capture()
                }
                Effect::Release(port) => {
                    self.captured.remove(port);
                    Ok(())
                }
                Effect::Deny(denial) => Err(Fault::with_words(libc::EADDRINUSE, denial.to_string())),
            };
            if let Err(fault) = done {
                self.subscriptions.handle_failed(&effect);
                if let Effect::Capture(port) = &effect {
                    self.captured.remove(port);
                }
                faults.push(fault);
            }
        }
        faults.extend(self.tell_capture().err());
        faults
    }

    /// The same where nobody can be told of a failure.
    fn undo(&mut self) {
        if let Err(fault) = self.apply() {
            tracing::error!(%fault, "cannot give a port back");
            self.log(None, Level::Error, format!("cannot give a port back to the target: {fault}"));
        }
    }

    fn redirect(&mut self, port: Port, owner: &str) -> Result<(), Fault> {
        let explain = |error: io::Error| {
            let words = format!("cannot redirect port `{}` of the target", port.0);
            Fault::with_words(error.raw_os_error().unwrap_or(libc::EIO), words)
        };
        if self.redirection.is_none() {
            self.redirection = Some(Redirecting::begin().map_err(explain)?);
        }
        let Some(Redirecting { redirection, .. }) = &mut self.redirection else { return Ok(()) };
        redirection.redirect(port, owner)
    }

    fn restore(&mut self, port: Port) -> Result<(), Fault> {
        let Some(Redirecting { redirection, .. }) = &mut self.redirection else { return Ok(()) };
        Ok(redirection.restore(port)?)
    }

    fn begin_capture(&mut self) -> Result<(), Fault> {
        if self.capture.is_none() {
            let (news_tx, news) = mpsc::unbounded_channel();
            let capture = Capture::begin(news_tx).map_err(|error| {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                Fault::with_words(errno, "cannot capture the packets of the target")
            })?;
            self.capture = Some(Capturing { capture, news });
        }
        Ok(())
    }

    fn tell_capture(&mut self) -> Result<(), Fault> {
        let Some(Capturing { capture, .. }) = &self.capture else { return Ok(()) };
        let ports: BTreeMap<_, _> =
            self.captured.iter().map(|port| (*port, self.subscriptions.mirrors(*port).collect())).collect();
        let agent_ports = match &self.redirection {
            Some(redirecting) if !ports.is_empty() => redirecting.agent_ports.clone(),
            _ => BTreeSet::new(),
        };
        Ok(capture.set_ports(ports, agent_ports)?)
    }

    fn handle_redirected(&mut self, redirected: Redirected) {
        let port = Port(redirected.local.port());
        if let Some(Capturing { capture, .. }) = &self.capture
            && let Ok(reached) = redirected.stream.local_addr()
        {
            capture.name(redirected.peer, reached, redirected.local);
        }
        match self.subscriptions.route(port) {
            Route::Pass => self.pass(redirected),
            Route::Deliver { client, pass: true } => self.deliver_socket(client, port, redirected),
            Route::Deliver { client, pass: false } => {
                let (peer, local) = (redirected.peer, redirected.local);
                let id = self.arrivals.begin(client, self.began.elapsed(), Cargo::Stolen(redirected));
                let arrival = Arrival { id, port, peer, local, wish: Wish::Steal, descriptor: false };
                self.announce(client, arrival, None);
            }
        }
    }

    fn deliver_socket(&mut self, client: ClientId, port: Port, redirected: Redirected) {
        let Redirected { peer, local, .. } = redirected;
        let socket = match redirected.into_socket() {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(%error, "lost a stolen connection"),
        };
        let id = match socket.try_clone() {
            Ok(ours) => self.arrivals.begin(client, self.began.elapsed(), Cargo::Passed(ours)),
            Err(error) => {
                tracing::warn!(%error, "a connection will be lost if its proxy dies");
                let id = self.arrivals.number();
                self.given.insert(id);
                id
            }
        };
        let arrival = Arrival { id, port, peer, local, wish: Wish::Steal, descriptor: true };
        self.announce(client, arrival, Some(socket));
    }

    fn announce(&mut self, client: ClientId, arrival: Arrival, socket: Option<OwnedFd>) {
        let event = Event::Arrival { client, arrival, socket };
        if let Err(mpsc::error::SendError(Event::Arrival { arrival, socket, .. })) = self.events.send(event) {
            self.take_back(client, arrival.id, socket);
        }
    }

    fn take_back(&mut self, client: ClientId, arrival: ArrivalId, socket: Option<OwnedFd>) {
        match self.arrivals.finish(client, arrival) {
            // What came back with it is the same connection.
            Some(waiting) => self.pass_all(vec![waiting]),
            None if self.given.remove(&arrival) => {
                if let Some(socket) = socket {
                    self.pass_socket(socket);
                }
            }
            // It was passed on when its client went, or was accepted.
            None => {}
        }
    }

    fn pass_socket(&mut self, socket: OwnedFd) {
        match Redirected::from_socket(socket) {
            Ok(redirected) => self.pass(redirected),
            Err(error) => tracing::warn!(%error, "what was returned is no stolen connection"),
        }
    }

    fn pass_all(&mut self, cargo: Vec<Cargo>) {
        for cargo in cargo {
            match cargo {
                Cargo::Stolen(redirected) => self.pass(redirected),
                // The target has heard it all along.
                Cargo::Mirrored(hearing) => drop(hearing),
                Cargo::Passed(socket) => self.pass_socket(socket),
            }
        }
    }

    fn pass(&mut self, redirected: Redirected) {
        self.passing.spawn(pass(redirected));
    }

    fn handle_news(&mut self, news: News) {
        match news {
            News::Overheard { client, peer, local, hearing } => {
                let port = Port(local.port());
                if !self.subscriptions.mirrors(port).any(|mirror| mirror == client) {
                    return;
                }
                let id = self.arrivals.begin(client, self.began.elapsed(), Cargo::Mirrored(hearing));
                let arrival = Arrival { id, port, peer, local, wish: Wish::Mirror, descriptor: false };
                self.announce(client, arrival, None);
            }
            News::CutOff { client, peer, why } => {
                let text = format!("the mirrored connection from `{peer}` was cut off: {why}");
                self.log(Some(client), Level::Warn, text);
            }
        }
    }

    fn log(&self, client: Option<ClientId>, level: Level, text: String) {
        let _ = self.events.send(Event::Log { client, line: LogLine { level, text } });
    }

    /// Gives everything back, and lets what is under way come to its end.
    async fn shut_down(&mut self) {
        for client in self.subscriptions.clients() {
            self.subscriptions.handle_gone(client);
        }
        self.undo();
        let mut left = self.arrivals.finish_overdue(Duration::MAX);
        // Whoever is still there may give these to its guests.
        left.retain(|cargo| !matches!(cargo, Cargo::Passed(_)));
        self.pass_all(left);
        self.capture = None;
        if let Some(mut redirecting) = self.redirection.take() {
            let late = Instant::now() + HANDSHAKE;
            while let Ok(Some(redirected)) = tokio::time::timeout_at(late, redirecting.accepted.recv()).await
            {
                self.pass(redirected);
            }
            // The chains stay as long as anybody needs their translations.
            let all_passed = async { while self.passing.join_next().await.is_some() {} };
            let _ = timeout(FAREWELL, all_passed).await;
        }
    }
}

impl Redirecting {
    fn begin() -> io::Result<Self> {
        let (redirection, listeners) = Redirection::begin()?;
        let (accepted_tx, accepted) = mpsc::unbounded_channel();
        let mut agent_ports = BTreeSet::new();
        for listener in std::iter::once(listeners.v4).chain(listeners.v6) {
            agent_ports.insert(listener.local_addr()?.port());
            tokio::spawn(accept_all(listener, accepted_tx.clone()));
        }
        Ok(Self { redirection, accepted, agent_ports })
    }
}

async fn next_redirected(redirecting: Option<&mut Redirecting>) -> Redirected {
    if let Some(redirecting) = redirecting
        && let Some(redirected) = redirecting.accepted.recv().await
    {
        return redirected;
    }
    pending().await
}

async fn next_news(capturing: Option<&mut Capturing>) -> News {
    if let Some(capturing) = capturing
        && let Some(news) = capturing.news.recv().await
    {
        return news;
    }
    pending().await
}
