//! The life of a proxy: order in, agent started, session served, everything undone.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use mirrord_config::handoff::DataPath;
use mirrord_core::proxy::lifetime::End;
use mirrord_protocol::{
    fault::Fault,
    frame::{FrameReader, encode_frame},
    wire,
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    api,
    cluster::{Keeper, KeeperEar},
    complain::Complaints,
    detach::{self, Part},
    far::{Far, last_words},
    fuse::Mount,
    incoming::Incoming,
    link::Event,
    log,
    prepare::{Prepared, prepare},
    rights,
    start::{Failure, Order, Report},
};

/// How many threads carry a trunk.
const N_WORKERS: usize = 2;

/// How often listeners are looked for.
const CHECK_TIME: Duration = Duration::from_millis(500);

/// How long the agent may say nothing before it is believed to have said all.
const QUIET_TIME: Duration = Duration::from_millis(50);

/// How long an agent may take to tell of its target.
const PREPARE_TIME: Duration = Duration::from_secs(60);

/// How long giving connections back may take.
const RETIRE_TIME: Duration = Duration::from_secs(2);

/// The life of a proxy: takes its order from standard input, detaches, serves until the session ends.
pub(crate) fn run() -> ExitCode {
    let mut command = match detach::detach() {
        Ok(Part::Starter) => return ExitCode::SUCCESS,
        Ok(Part::Proxy(command)) => command,
        // The command reads its end of the socket and sees ours closed.
        Err(_) => return ExitCode::FAILURE,
    };
    let Ok(order) = read_order(&mut command) else { return ExitCode::FAILURE };
    // Before there are threads: it may have to fork.
    let mount = match order.data_path {
        DataPath::Passed => None,
        DataPath::Proxied => Mount::new().inspect_err(|error| warn_of_mount(&mut command, error)).ok(),
    };
    let mut builder = if order.place.is_here() {
        tokio::runtime::Builder::new_current_thread()
    } else {
        // A trunk is ciphered and masked: bytes shall not wait for that of others.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(N_WORKERS);
        builder
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report_failure(&mut command, failure("cannot start the proxy", &error.into())),
    };
    match runtime.block_on(serve(order, mount, &mut command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report_failure(&mut command, failure),
    }
}

fn read_order(command: &mut UnixStream) -> io::Result<Order> {
    let mut reader = FrameReader::default();
    let mut piece = [0; 4096];
    loop {
        if let Some(frame) = reader.next_frame().map_err(io::Error::other)? {
            return wire::decode(&frame).map_err(io::Error::other);
        }
        match command.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n_read => reader.feed(&piece[..n_read]),
        }
    }
}

fn report(command: &mut UnixStream, report: &Report) -> io::Result<()> {
    command.write_all(&encode_frame(report).map_err(io::Error::other)?)
}

fn report_failure(command: &mut UnixStream, failure: Failure) -> ExitCode {
    tracing::error!(?failure, "session failed");
    // If nobody reads it, nobody wants to know.
    drop(report(command, &Report::Failed(failure)));
    ExitCode::FAILURE
}

fn warn_of_mount(command: &mut UnixStream, error: &io::Error) {
    let words =
        format!("no FUSE on this machine ({error}): directories and writing of the target's files fail");
    drop(report(command, &Report::Warning(words)));
}

fn failure(what: &str, fault: &Fault) -> Failure {
    Failure { what: what.to_owned(), causes: vec![fault.to_string()], hint: None }
}

/// Everything from the order to the end.
async fn serve(order: Order, mount: Option<Mount>, command: &mut UnixStream) -> Result<(), Failure> {
    let log_file = order.log.as_ref().map(|file| order.start_dir.join(file));
    if let Err(error) = log::start(log_file.as_deref(), &order.log_level, order.json_log) {
        let words = format!("proxy keeps no log: {error}");
        drop(report(command, &Report::Warning(words)));
    }
    let cannot_start = |error: io::Error| failure("cannot start the proxy", &error.into());
    // Whoever waits for an editor's guest hears what there is to tell.
    let waiting = order.guest_pid.is_none().then(|| command.try_clone()).and_then(Result::ok);
    let complaints = Arc::new(Complaints::new(order.guest_pid, order.screen, waiting));
    let gone =
        rights::watch(command.as_fd().try_clone_to_owned().map_err(cannot_start)?).map_err(cannot_start)?;
    let (events_tx, mut events) = mpsc::unbounded_channel();
    let mut far = None;
    let begun = tokio::select! {
        begun = Far::begin(&order, command, events_tx.clone(), &mut far) => begun,
        // After its order the command says nothing more: what can be read is its end.
        _ = gone.readable() => Err(failure("the command has ended", &Fault::os(libc::ECANCELED))),
    };
    let (agent, mut far) = match (begun, far) {
        (Ok(agent), Some(far)) => (agent, far),
        (begun, far) => {
            if let Err(failure) = &begun {
                drop(report(command, &Report::Failed(failure.clone())));
            }
            if let Some(far) = far {
                far.give_up().await;
            }
            return Err(begun.err().unwrap_or_default());
        }
    };
    let prepared = tokio::select! {
        prepared = prepare(&order, &agent, mount, complaints.clone()) => prepared,
        _ = gone.readable() => Err(Fault::with_words(libc::ECANCELED, "the command has ended")),
        () = tokio::time::sleep(PREPARE_TIME) => Err(Fault::with_words(libc::ETIMEDOUT, "the agent does not answer")),
    };
    drop(gone);
    let Prepared { mut ready, layers, relays, listener } = match prepared {
        Ok(prepared) => prepared,
        Err(fault) => {
            agent.part();
            return Err(far.failure(&order, &fault, last_words(&mut events)).await);
        }
    };
    tracing::info!(session = %order.session_id, "session stands");
    ready.ports = far.ports();
    let announced = api::announce(&order, &layers);
    drop(report(command, &Report::Ready(ready)));
    if order.guest_pid.is_some() {
        drop(command.shutdown(std::net::Shutdown::Both));
    }
    let serving = tokio::spawn(layers.clone().serve(listener));
    let incoming = &layers.session.incoming;
    let mut keeper = far.keeper(&agent, &layers, &complaints, events_tx);
    let ear = keeper.as_ref().map(Keeper::ear);
    let (deliveries, checks) = (JoinSet::new(), JoinSet::new());
    let mut hall = Hall { incoming, events, deliveries, checks, ear };
    let end = tokio::select! {
        end = layers.watch.end() => end,
        end = hall.drive() => end,
        () = keep(keeper.as_mut()) => End::GuestGone,
    };
    tracing::info!(?end, "session ends");
    serving.abort();
    hall.retire().await;
    if let Some(relayed) = &layers.session.relayed
        && end != End::Stopped
    {
        relayed.datagrams.finish().await;
    }
    if end != End::Stopped {
        relays.finish().await;
    }
    agent.part();
    far.part(keeper).await;
    drop(announced);
    Ok(())
}

/// Never ends; nor does it do anything where nobody is kept.
async fn keep(keeper: Option<&mut Keeper>) {
    match keeper {
        Some(keeper) => keeper.keep().await,
        None => std::future::pending().await,
    }
}

/// Where what agents say unasked is taken in.
struct Hall<'a> {
    incoming: &'a Arc<Incoming>,
    events: mpsc::UnboundedReceiver<Event>,
    deliveries: JoinSet<()>,
    /// At most one: it may have to wait for an agent.
    checks: JoinSet<()>,
    ear: Option<KeeperEar>,
}

impl Hall<'_> {
    /// Never ends: a session outlives its agent, and says so to every question.
    async fn drive(&mut self) -> End {
        let mut check = tokio::time::interval(CHECK_TIME);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(event) = self.events.recv() => self.take_in(event),
                Some(_) = self.deliveries.join_next() => {}
                Some(_) = self.checks.join_next() => {}
                _ = check.tick(), if self.checks.is_empty() => {
                    let incoming = self.incoming.clone();
                    self.checks.spawn(async move { incoming.check().await });
                }
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        match (event, &self.ear) {
            (Event::Arrival(link, arrival, connection), _) => {
                self.deliveries.spawn(self.incoming.clone().deliver(link, arrival, connection));
            }
            (Event::Gone(link, farewell), Some(ear)) => ear.tell_gone(&link, farewell),
            (Event::Gone(_, farewell), None) => {
                tracing::error!(?farewell, "the agent is gone; nothing can be asked there any more");
            }
        }
    }

    /// Gives back what the guest has not taken: its ports, and the connections that were under way to it.
    async fn retire(&mut self) {
        let given_back = async {
            if !self.incoming.retire().await {
                return;
            }
            // What the agent had sent before it heard of this may still be on its way.
            loop {
                tokio::select! {
                    Some(event) = self.events.recv() => self.take_in(event),
                    Some(_) = self.deliveries.join_next() => {}
                    () = tokio::time::sleep(QUIET_TIME), if self.deliveries.is_empty() => return,
                }
            }
        };
        if tokio::time::timeout(RETIRE_TIME, given_back).await.is_err() {
            tracing::warn!("not every connection could be given back");
        }
    }
}
