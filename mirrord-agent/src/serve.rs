//! The life of an agent: until its proxies or its target are gone.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mirrord_core::steal::{Clients, Due};
use mirrord_protocol::agent::{LaneOpen, Welcome, control::Farewell};
use mirrord_trunk::Parting;
use tokio::{
    io::unix::AsyncFd,
    net::UnixStream,
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{
    agent::{self, Agent, OPENING, answer},
    door::{Closed, Door, Knock},
    incoming::{Event, Incoming},
    link::LaneReader,
    origin::{Origin, OriginId},
    target::Target,
};

/// What stands behind the door.
#[derive(Clone, Debug)]
enum House {
    /// An agent that has reached its target.
    Agent(Arc<Agent>),
    /// One that has not, and why.
    Empty(Arc<str>),
}

/// Why it is over.
#[derive(Debug)]
enum Over {
    /// Nobody is there for whom to stay.
    Alone,
    /// The proxy that has started us is gone, and how.
    Closed(Parting),
    /// Something is to be said to all who are there.
    Farewell(Farewell),
}

/// Serves until nobody is there to be served, or the target is gone, and undoes everything. `patience` is how long an
/// agent with a port stays alone.
///
/// # Errors
/// When the kernel does not let us wait.
pub(crate) async fn serve(
    door: Closed,
    target: Target,
    hands: Handle,
    dns: crate::args::DnsOptions,
    patience: Duration,
) -> io::Result<()> {
    let watch = target
        .watch()?
        .map(|watch| {
            // SAFETY: The descriptor is owned, and stays what it is until it is dropped.
            unsafe { AsyncFd::register(watch) }
        })
        .transpose()?;
    let (events_tx, events_rx) = mpsc::unbounded_channel();
    let agent = Arc::new(Agent::new(target, Incoming::start(events_tx), hands, dns));
    tokio::spawn(deliver(agent.clone(), events_rx));
    let mut door = door.open()?;
    let house = House::Agent(agent.clone());
    let over = live(&mut door, &house, watch.as_ref(), patience).await?;
    door.shut();
    if let Over::Farewell(farewell) = &over {
        agent.say_farewell(farewell).await;
        agent.cut_all();
    }
    if matches!(over, Over::Closed(_)) {
        agent.hear_out().await;
    }
    agent.incoming.shutdown().await;
    if matches!(over, Over::Closed(Parting::InOrder)) {
        agent.drain().await;
    }
    door.close().await;
    Ok(())
}

/// Tells every session why there is no agent, until nobody is there to be told.
///
/// # Errors
/// When the kernel does not let us wait.
pub(crate) async fn refuse(door: Closed, why: &str, patience: Duration) -> io::Result<()> {
    let mut door = door.open()?;
    live(&mut door, &House::Empty(why.into()), None, patience).await?;
    door.shut();
    door.close().await;
    Ok(())
}

/// Receives whoever comes, until it is over.
async fn live(
    door: &mut Door,
    house: &House,
    watch: Option<&AsyncFd<std::os::fd::OwnedFd>>,
    patience: Duration,
) -> io::Result<Over> {
    let began = Instant::now();
    // Without a port, the end of the only proxy is told by the door itself.
    let mut clients = Clients::new(if door.is_port() { patience } else { Duration::MAX });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            knock = door.next() => match knock {
                Knock::Lane(origin, lane) => {
                    clients.handle_seen(origin.id);
                    house.receive(origin, lane);
                }
                Knock::Away(origin) => clients.handle_away(origin.id, began.elapsed()),
                Knock::Back(origin) => {
                    if clients.handle_back(origin.id) {
                        house.resume(origin.id).await;
                    }
                }
                Knock::Ended(origin, how) => {
                    clients.handle_ended(origin.id, how == Parting::InOrder, began.elapsed());
                }
                Knock::Closed(how) => return Ok(Over::Closed(how)),
            },
            () = ended(watch) => return Ok(Over::Farewell(Farewell::TargetGone)),
            () = either(&mut terminate, &mut interrupt) => return Ok(Over::Farewell(Farewell::Evicted)),
            () = until(began, clients.next_deadline()), if !is_leaving => {}
            // Whoever comes while the last bytes are delivered keeps the agent.
            () = house.drain(), if is_leaving => return Ok(Over::Alone),
        }
        is_leaving = false;
        while let Some(due) = clients.poll_due(began.elapsed()) {
            match due {
                Due::Suspend(origin) => house.suspend(origin).await,
                Due::Leave => {
                    is_leaving = true;
                    break;
                }
            }
        }
    }
}

impl House {
    fn receive(&self, origin: Arc<Origin>, lane: UnixStream) {
        match self {
            Self::Agent(agent) => {
                // Before it is read: whoever parts right after it has had it delivered all the same.
                let carried = agent.carry();
                tokio::spawn(agent::receive(agent.clone(), origin, lane, carried));
            }
            Self::Empty(why) => {
                tokio::spawn(turn_away(why.clone(), lane));
            }
        }
    }

    async fn drain(&self) {
        if let Self::Agent(agent) = self {
            agent.drain().await;
        }
    }

    async fn suspend(&self, origin: OriginId) {
        let Self::Agent(agent) = self else { return };
        for session in agent.sessions_where(|session| session.origin.id == origin) {
            tracing::info!(client = %session.client, "gives its ports back until it is there again");
            agent.incoming.client_away(session.client).await;
        }
    }

    async fn resume(&self, origin: OriginId) {
        let Self::Agent(agent) = self else { return };
        for session in agent.sessions_where(|session| session.origin.id == origin) {
            agent.incoming.client_back(session.client).await;
        }
    }
}

async fn turn_away(why: Arc<str>, lane: UnixStream) {
    let lane = Arc::new(lane);
    let mut reader = LaneReader::new(lane.clone());
    if let Ok(Ok(LaneOpen::Control(_))) = tokio::time::timeout(OPENING, agent::open(&mut reader)).await {
        // Whoever does not read it learns from the end that there is nobody.
        let _ = answer(&lane, &Welcome::Refused(why.to_string())).await;
    }
}

async fn either(first: &mut Signal, second: &mut Signal) {
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}

/// Waits for a moment, for ever if there is none.
async fn until(began: Instant, deadline: Option<Duration>) {
    match deadline.and_then(|deadline| began.checked_add(deadline)) {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
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
                let told = match agent.sessions_where(|session| session.client == client).pop() {
                    Some(session) => session.tell_arrival(arrival, socket),
                    None => Err(socket),
                };
                if let Err(untold) = told {
                    agent.incoming.return_arrival(client, arrival.id, untold).await;
                }
            }
            Event::Log { client, line } => {
                for session in agent.sessions_where(|it| client.is_none_or(|client| it.client == client)) {
                    session.tell_log(line.clone());
                }
            }
        }
    }
}
