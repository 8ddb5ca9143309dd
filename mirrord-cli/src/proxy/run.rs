//! The life of a proxy: order in, agent started, session served, everything undone.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::{addr, proxy::nodes::Numbers, rules::mapping::Mapping};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        control::{Farewell, TargetDescription},
        env::Environment,
    },
    fault::Fault,
    frame::{FrameReader, encode_frame},
    wire,
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    agent::{Agent, Event},
    complain::Complaints,
    datagrams::Datagrams,
    detach::{self, Part},
    files::{self, Files, nonsense},
    fuse::{Attributes, Fuse, Mount},
    incoming::Incoming,
    lane::Lanes,
    layers::{self, Layers},
    log,
    memfd::Copies,
    names::Names,
    outgoing::Outgoing,
    relay::Relays,
    rights,
    session::{Proxied, Session},
    settings::Settings,
    spawn::AgentProcess,
    start::{Failure, Order, Place, Ready, Report},
    watch::Watch,
};

/// How long an agent may take to find its target and say so.
const AGENT_TIME: Duration = Duration::from_secs(30);

/// How often listeners are looked for.
const CHECK_TIME: Duration = Duration::from_millis(500);

/// How long the agent may say nothing before it is believed to have said all.
const QUIET_TIME: Duration = Duration::from_millis(50);

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
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
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
    let watch = Watch::new(
        order.guest_pid,
        Duration::from_secs(order.start_idle_timeout),
        Duration::from_secs(order.idle_timeout),
    )
    .map_err(cannot_start)?;
    // Whoever waits for an editor's guest hears what there is to tell.
    let waiting = order.guest_pid.is_none().then(|| command.try_clone()).and_then(Result::ok);
    let complaints = Complaints::new(order.guest_pid, order.screen, waiting);
    let (lanes, far_end) = Lanes::pair().map_err(cannot_start)?;
    let process = AgentProcess::start(&order, far_end).map_err(|error| {
        failure(&format!("cannot run the agent `{}`", order.agent.display()), &error.into())
    })?;
    let gone =
        rights::watch(command.as_fd().try_clone_to_owned().map_err(cannot_start)?).map_err(cannot_start)?;
    let begun = tokio::select! {
        begun = begin(&order, lanes, mount, watch, complaints) => begun,
        // After its order the command says nothing more: what can be read is its end.
        _ = gone.readable() => Err((Fault::with_words(libc::ECANCELED, "the command has ended"), None)),
    };
    drop(gone);
    let Begun { ready, layers, relays, listener, agent, mut events } = match begun {
        Ok(begun) => begun,
        Err((fault, farewell)) => return Err(agent_failure(&order, &fault, farewell, process).await),
    };
    tracing::info!(session = %order.session_id, "session stands");
    drop(report(command, &Report::Ready(ready)));
    if order.guest_pid.is_some() {
        drop(command.shutdown(std::net::Shutdown::Both));
    }
    let serving = tokio::spawn(layers.clone().serve(listener));
    let incoming = &layers.session.incoming;
    let mut deliveries = JoinSet::new();
    let end = tokio::select! {
        end = layers.watch.end() => end,
        end = drive(incoming, &mut events, &mut deliveries) => end,
    };
    tracing::info!(?end, "session ends");
    serving.abort();
    retire(incoming, &mut events, &mut deliveries).await;
    if let Some(proxied) = &layers.session.proxied {
        proxied.datagrams.finish().await;
    }
    relays.finish().await;
    agent.part();
    process.part().await;
    Ok(())
}

/// What a session stands on.
struct Begun {
    ready: Ready,
    layers: Arc<Layers>,
    relays: Relays,
    listener: tokio_seqpacket::UnixSeqpacketListener,
    agent: Agent,
    events: mpsc::UnboundedReceiver<Event>,
}

/// Everything between the agent's start and the first layer.
async fn begin(
    order: &Order,
    lanes: Lanes,
    mount: Option<Mount>,
    watch: Watch,
    complaints: Complaints,
) -> Result<Begun, (Fault, Option<Farewell>)> {
    let greeted = tokio::time::timeout(AGENT_TIME, Agent::greet(lanes, order.owner.clone())).await;
    let greeted = greeted.unwrap_or_else(|_| Err(Fault::os(libc::ETIMEDOUT)));
    let (agent, mut events) = greeted.map_err(|fault| (fault, None))?;
    let relays = Relays::start().map_err(|error| (Fault::from(error), None))?;
    match prepare(order, &agent, &relays, mount, watch, complaints).await {
        Ok((ready, layers, listener)) => Ok(Begun { ready, layers, relays, listener, agent, events }),
        Err(fault) => Err((fault, last_words(&mut events))),
    }
}

/// Asks what must be known of the target, and makes ready for layers.
async fn prepare(
    order: &Order,
    agent: &Agent,
    relays: &Relays,
    mount: Option<Mount>,
    watch: Watch,
    complaints: Complaints,
) -> Result<(Ready, Arc<Layers>, tokio_seqpacket::UnixSeqpacketListener), Fault> {
    let target = describe(agent).await?;
    let environment = fetch_environment(order, agent).await?;
    let files = match order.data_path {
        DataPath::Passed => Files::Passed(agent.clone()),
        DataPath::Proxied => {
            Files::Proxied(agent.clone(), start_fuse(agent, mount).await?, Copies::default())
        }
    };
    let path_prefix = files.path_prefix().await?;
    let facts = Facts {
        data_path: order.data_path,
        has_target: order.place != Place::Here,
        hostname: target.hostname.clone(),
        netns_cookie: target.netns_cookie,
        path_prefix,
        start_dir: order.start_dir.as_os_str().as_encoded_bytes().to_vec(),
        debugger_ports: order.debugger_ports.clone(),
    };
    let settings = Arc::new(Settings::new(&Handoff { rules: order.rules.clone(), facts })?);
    let incoming = Arc::new(Incoming::new(
        agent.clone(),
        relays.clone(),
        settings.clone(),
        order.rules.incoming.clone(),
        order.data_path == DataPath::Passed,
        addr::doorbell(session_number(&order.session_id)),
    ));
    let proxied = match order.data_path {
        DataPath::Passed => None,
        DataPath::Proxied => Some(Proxied {
            outgoing: Outgoing::start(agent.clone(), relays.clone())?,
            datagrams: Datagrams::new(agent.clone(), relays.clone(), &target.addresses),
        }),
    };
    let mapping = Mapping::compile(&order.mapping)
        .map_err(|error| Fault::with_words(libc::EINVAL, error.to_string()))?;
    let address = format!("@mirrord-{}", order.session_id);
    let listener = layers::listen(&address)?;
    let session = Session {
        rules: order.rules.clone(),
        agent: agent.clone(),
        complaints,
        mapping,
        files,
        names: Names::default(),
        incoming,
        proxied,
    };
    let ready = Ready { address, environment, hostname: target.hostname };
    Ok((ready, Arc::new(Layers { session, settings, watch }), listener))
}

/// The file system of the proxied data path; a session without one still reads files.
async fn start_fuse(agent: &Agent, mount: Option<Mount>) -> Result<Option<Fuse>, Fault> {
    let Some(mount) = mount else { return Ok(None) };
    let numbers = Numbers::new(&files::stat(agent, GuestPath::from("/")).await?);
    let attributes = Attributes { device: mount.device_number()?, numbers, only_us: mount.only_us };
    let agent = agent.clone();
    let starting = tokio::task::spawn_blocking(move || Fuse::start(mount, agent, attributes));
    let fuse = starting.await.map_err(io::Error::other)??;
    Ok(Some(fuse))
}

async fn describe(agent: &Agent) -> Result<TargetDescription, Fault> {
    match agent.call(AgentCall::Describe, None).await? {
        (AgentAnswer::Target(target), _) => Ok(target),
        _ => Err(nonsense()),
    }
}

async fn fetch_environment(order: &Order, agent: &Agent) -> Result<Environment, Fault> {
    let Some(call) = &order.environment else { return Ok(Environment::default()) };
    match agent.call(AgentCall::Environment(call.clone()), None).await? {
        (AgentAnswer::Environment(environment), _) => Ok(environment),
        _ => Err(nonsense()),
    }
}

/// A number by which sessions on one machine are told apart, more often than not.
fn session_number(session_id: &str) -> u16 {
    session_id.bytes().fold(0, |number: u16, byte| number.wrapping_mul(31).wrapping_add(u16::from(byte)))
}

/// Takes in what the agent says unasked. Never ends: a session outlives its agent, and says so to every question.
async fn drive(
    incoming: &Arc<Incoming>,
    events: &mut mpsc::UnboundedReceiver<Event>,
    deliveries: &mut JoinSet<()>,
) -> mirrord_core::proxy::lifetime::End {
    let mut check = tokio::time::interval(CHECK_TIME);
    check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut connected = true;
    loop {
        tokio::select! {
            event = events.recv(), if connected => connected = take_in(event, incoming, deliveries),
            Some(_) = deliveries.join_next() => {}
            _ = check.tick() => incoming.check().await,
        }
    }
}

/// Whether more may come.
fn take_in(event: Option<Event>, incoming: &Arc<Incoming>, deliveries: &mut JoinSet<()>) -> bool {
    match event {
        Some(Event::Arrival(arrival, connection)) => {
            deliveries.spawn(incoming.clone().deliver(arrival, connection));
        }
        Some(Event::Gone(farewell)) => {
            tracing::error!(?farewell, "the agent is gone; nothing can be asked there any more");
        }
        None => return false,
    }
    true
}

/// Gives back what the guest has not taken: its ports, and the connections that were under way to it.
async fn retire(
    incoming: &Arc<Incoming>,
    events: &mut mpsc::UnboundedReceiver<Event>,
    deliveries: &mut JoinSet<()>,
) {
    let given_back = async {
        if !incoming.retire().await {
            return;
        }
        // What the agent had sent before it heard of this may still be on its way.
        loop {
            tokio::select! {
                event = events.recv() => if !take_in(event, incoming, deliveries) { return },
                Some(_) = deliveries.join_next() => {}
                () = tokio::time::sleep(QUIET_TIME), if deliveries.is_empty() => return,
            }
        }
    };
    if tokio::time::timeout(RETIRE_TIME, given_back).await.is_err() {
        tracing::warn!("not every connection could be given back");
    }
}

fn last_words(events: &mut mpsc::UnboundedReceiver<Event>) -> Option<Farewell> {
    while let Ok(event) = events.try_recv() {
        if let Event::Gone(farewell) = event {
            return farewell;
        }
    }
    None
}

/// Why there is no agent: what it said is worth more than what we saw.
async fn agent_failure(
    order: &Order,
    fault: &Fault,
    farewell: Option<Farewell>,
    process: AgentProcess,
) -> Failure {
    let what = match &order.place {
        Place::Process(pid) => format!("cannot join process `{pid}`"),
        Place::Network { name, .. } => format!("cannot join the network namespace `{name}`"),
        Place::Here => "cannot start an agent on this machine".to_owned(),
        Place::Cluster(place) => format!("cannot join `{}`", place.target),
    };
    let mut causes: Vec<_> = match farewell {
        Some(Farewell::TargetGone) => vec!["the target's main process is gone".to_owned()],
        Some(Farewell::Protocol(words) | Farewell::Failed(words)) => vec![words],
        Some(Farewell::Evicted) => vec!["the agent was told to end".to_owned()],
        None => Vec::new(),
    };
    let mut hint = None;
    for line in process.leave().await {
        match line.split_once(": ") {
            Some(("hint", words)) => hint = Some(words.to_owned()),
            Some(("error" | "cause", words)) => causes.push(words.to_owned()),
            _ => causes.push(line),
        }
    }
    if causes.is_empty() {
        causes.push(fault.to_string());
    }
    Failure { what, causes, hint }
}
