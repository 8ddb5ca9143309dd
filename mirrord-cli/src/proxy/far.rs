//! The far side of a session: an agent's process on this machine, or agents elsewhere.

use std::{io, os::unix::net::UnixStream, sync::Arc, time::Duration};

use mirrord_core::target::Target;
use mirrord_protocol::{agent::control::Farewell, fault::Fault, frame::encode_frame};
use std::io::Write as _;
use tokio::sync::mpsc;

use super::{
    agent::Agent,
    cluster::{self, Keeper, Reach, Standing},
    complain::Complaints,
    lane::Lanes,
    layers::Layers,
    link::{Event, Events, Link},
    spawn::AgentProcess,
    start::{Failure, Order, Place, Report},
};

/// How long an agent may take to find its target and say so.
const AGENT_TIME: Duration = Duration::from_secs(30);

impl Place {
    /// Whether descriptors can come from there.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Process(_) | Self::Network { .. } | Self::Here => true,
            Self::Cluster(_) | Self::Address(_) => false,
        }
    }

    /// Whether there is a target whose place the guest takes.
    pub(crate) fn has_target(&self) -> bool {
        match self {
            Self::Process(_) | Self::Network { .. } | Self::Address(_) => true,
            Self::Here => false,
            Self::Cluster(place) => place.target != Target::Targetless,
        }
    }
}

/// What a session's agent is.
pub(crate) enum Far {
    /// A process of this machine, which ends with the session.
    Here(AgentProcess),
    /// Elsewhere: how it is reached, and what stands, until a keeper takes it over.
    There(Arc<Reach>, Option<Box<Standing>>),
}

impl Far {
    /// Starts or makes an agent, and says hello to it. What was begun is in `far` in any case, so that it can be ended.
    pub(crate) async fn begin(
        order: &Order,
        command: &UnixStream,
        events: Events,
        far: &mut Option<Self>,
    ) -> Result<Agent, Failure> {
        if order.place.is_here() {
            return Self::begin_here(order, events, far).await;
        }
        let reach = Arc::new(Reach::new(&order.place, &order.owner).await?);
        *far = Some(Self::There(reach.clone(), None));
        let command = Arc::new(command.try_clone().map_err(|error| cannot_start(&error))?);
        let tell = move |report: Report| {
            // A command that does not listen any more is noticed elsewhere.
            if let Ok(frame) = encode_frame(&report) {
                let _ = (&*command).write_all(&frame);
            }
        };
        let standing = cluster::begin(order, &reach, events, tell).await?;
        let agent = Agent::first(standing.link.clone());
        *far = Some(Self::There(reach, Some(Box::new(standing))));
        Ok(agent)
    }

    async fn begin_here(order: &Order, events: Events, far: &mut Option<Self>) -> Result<Agent, Failure> {
        let (lanes, far_end) = Lanes::pair().map_err(|error| cannot_start(&error))?;
        let process = AgentProcess::start(order, far_end).map_err(|error| Failure {
            what: format!("cannot run the agent `{}`", order.agent.display()),
            causes: vec![error.to_string()],
            hint: None,
        })?;
        *far = Some(Self::Here(process));
        let greeting = Link::greet(lanes, Duration::ZERO, order.owner.clone(), events);
        let greeted = tokio::time::timeout(AGENT_TIME, greeting).await;
        let greeted = greeted.unwrap_or_else(|_| Err(Fault::os(libc::ETIMEDOUT)));
        match greeted {
            Ok(link) => Ok(Agent::only(link)),
            Err(fault) => Err(match far.take() {
                Some(Self::Here(process)) => said_here(order, &fault, None, process).await,
                _ => cannot_join(order, vec![fault.to_string()]),
            }),
        }
    }

    /// Why there is no session, although there was an agent: what it said is worth more than what we saw.
    pub(crate) async fn failure(self, order: &Order, fault: &Fault, farewell: Option<Farewell>) -> Failure {
        match self {
            Self::Here(process) => said_here(order, fault, farewell, process).await,
            Self::There(..) => {
                let what = cannot_join(order, Vec::new()).what;
                let failure = cluster::said(what, fault, farewell);
                self.part(None).await;
                failure
            }
        }
    }

    /// The ports that the target says it has.
    pub(crate) fn ports(&self) -> Vec<u16> {
        match self {
            Self::There(_, Some(standing)) => {
                standing.target.as_ref().map(|pod| pod.ports.clone()).unwrap_or_default()
            }
            Self::Here(_) | Self::There(_, None) => Vec::new(),
        }
    }

    /// Keeps agents beside the target from now on, if they can be replaced.
    pub(crate) fn keeper(
        &mut self,
        agent: &Agent,
        layers: &Arc<Layers>,
        complaints: &Arc<Complaints>,
        events: Events,
    ) -> Option<Keeper> {
        match self {
            Self::Here(_) => None,
            Self::There(reach, standing) => {
                let (reach, first) = (reach.clone(), standing.take()?);
                Some(Keeper::new(reach, *first, agent.clone(), layers.clone(), complaints.clone(), events))
            }
        }
    }

    /// Ends what was begun and came to nothing: an agent that never said a word does not hear that it is to go.
    pub(crate) async fn give_up(self) {
        match self {
            Self::Here(process) => drop(process.leave().await),
            there @ Self::There(..) => there.part(None).await,
        }
    }

    /// Waits for the end of what was told to go, and removes what was made.
    pub(crate) async fn part(self, keeper: Option<Keeper>) {
        match self {
            Self::Here(process) => process.part().await,
            Self::There(reach, standing) => {
                if let Some(standing) = standing {
                    standing.link.part();
                }
                if let Some(keeper) = keeper {
                    keeper.part().await;
                }
                reach.remove_all().await;
            }
        }
    }
}

fn cannot_start(error: &io::Error) -> Failure {
    Failure { what: "cannot start the proxy".to_owned(), causes: vec![error.to_string()], hint: None }
}

fn cannot_join(order: &Order, causes: Vec<String>) -> Failure {
    let what = match &order.place {
        Place::Process(pid) => format!("cannot join process `{pid}`"),
        Place::Network { name, .. } => format!("cannot join the network namespace `{name}`"),
        Place::Here => "cannot start an agent on this machine".to_owned(),
        Place::Cluster(place) => format!("cannot join `{}`", place.target),
        Place::Address(place) => format!("cannot join the agent at `{}`", place.address),
    };
    Failure { what, causes, hint: None }
}

/// Why an agent's process is of no use.
async fn said_here(
    order: &Order,
    fault: &Fault,
    farewell: Option<Farewell>,
    process: AgentProcess,
) -> Failure {
    let mut failure = cannot_join(order, Vec::new());
    match farewell {
        Some(Farewell::TargetGone) => failure.causes.push("the target's main process is gone".to_owned()),
        Some(Farewell::Evicted) => failure.causes.push("the agent was told to end".to_owned()),
        Some(Farewell::Protocol(words) | Farewell::Failed(words)) => failure.causes.push(words),
        None => {}
    }
    for line in process.leave().await {
        match line.split_once(": ") {
            Some(("hint", words)) => failure.hint = Some(words.to_owned()),
            Some(("error" | "cause", words)) => failure.causes.push(words.to_owned()),
            _ => failure.causes.push(line),
        }
    }
    if failure.causes.is_empty() {
        failure.causes.push(fault.to_string());
    }
    failure
}

/// What the agent said last, as far as it has come.
pub(crate) fn last_words(events: &mut mpsc::UnboundedReceiver<Event>) -> Option<Farewell> {
    while let Ok(event) = events.try_recv() {
        if let Event::Gone(_, farewell) = event {
            return farewell;
        }
    }
    None
}
