//! The far side as the session asks it: the link to its agent, which may be another one after a while.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mirrord_core::proxy::lost;
use mirrord_protocol::{
    agent::{AgentCall, LaneKey, LaneOpen},
    fault::Fault,
};
use tokio::sync::oneshot;

use super::{handles::Handles, link::Link};

pub(crate) use super::link::Outcome;

/// The agent of the session. Clones are the same.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// The files that are open there, where an agent may be followed by another.
    handles: Option<Arc<Handles>>,
}

enum State {
    /// It is there.
    Linked(Link),
    /// Another one is looked for: what wants it waits.
    Sought(Vec<Waiter>),
    /// It is gone, and no other was found.
    Lost,
}

/// Is told the link, once there is one, or that there will be none.
type Waiter = Box<dyn FnOnce(Option<Link>) + Send>;

impl Agent {
    /// The one agent of a session, which ends with it.
    pub(crate) fn only(link: Link) -> Self {
        Self(Arc::new(Inner { state: Mutex::new(State::Linked(link)), handles: None }))
    }

    /// The first of what may be several agents, one after another.
    pub(crate) fn first(link: Link) -> Self {
        let handles = Some(Arc::default());
        Self(Arc::new(Inner { state: Mutex::new(State::Linked(link)), handles }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent is gone, and another one is looked for: calls wait for it from now on.
    pub(crate) fn seek(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Sought(_)) {
            *state = State::Sought(Vec::new());
        }
    }

    /// There is an agent again.
    pub(crate) fn set(&self, link: &Link) {
        self.settle(State::Linked(link.clone()), Some(link));
    }

    /// There is none: calls fail from now on.
    pub(crate) fn lose(&self) {
        self.settle(State::Lost, None);
    }

    /// Tells the agent that the session is over: it undoes what it did.
    pub(crate) fn part(&self) {
        if let Some(link) = self.current() {
            link.part();
        }
        self.lose();
    }

    fn settle(&self, state: State, link: Option<&Link>) {
        let before = std::mem::replace(&mut *self.state(), state);
        if let State::Sought(waiters) = before {
            for waiter in waiters {
                waiter(link.cloned());
            }
        }
    }

    fn with_link(&self, then: impl FnOnce(Option<Link>) + Send + 'static) {
        let mut state = self.state();
        let link = match &mut *state {
            State::Linked(link) => Some(link.clone()),
            State::Sought(waiters) => return waiters.push(Box::new(then)),
            State::Lost => None,
        };
        drop(state);
        then(link);
    }

    /// The link to it, if there is one now.
    pub(crate) fn current(&self) -> Option<Link> {
        match &*self.state() {
            State::Linked(link) => Some(link.clone()),
            State::Sought(_) | State::Lost => None,
        }
    }

    /// The link to it, once there is one; none if there will be none.
    pub(crate) async fn link(&self) -> Option<Link> {
        let (link_tx, link_rx) = oneshot::channel();
        self.with_link(move |link| drop(link_tx.send(link)));
        link_rx.await.unwrap_or_default()
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call(&self, call: AgentCall, descriptor: Option<OwnedFd>) -> Outcome {
        let (answer_tx, answer_rx) = oneshot::channel();
        let fault = lost::fault(&call);
        self.ask(call, descriptor, move |outcome| drop(answer_tx.send(outcome)));
        answer_rx.await.unwrap_or(Err(fault))
    }

    /// Asks, from any thread; `tell` is called with the answer, on the thread that listens to the agent.
    pub(crate) fn ask(
        &self,
        call: AgentCall,
        descriptor: Option<OwnedFd>,
        tell: impl FnOnce(Outcome) + Send + 'static,
    ) {
        let handles = self.0.handles.clone();
        self.with_link(move |link| match (link, handles) {
            (None, _) => tell(Err(lost::fault(&call))),
            (Some(link), None) => link.ask(call, descriptor, tell),
            (Some(link), Some(handles)) => handles.ask(&link, call, descriptor, tell),
        });
    }

    /// Opens a lane for a stream.
    pub(crate) async fn open_lane(&self, open: impl FnOnce(LaneKey) -> LaneOpen) -> Result<StdStream, Fault> {
        match self.link().await {
            Some(link) => link.open_lane(open),
            None => Err(Fault::with_words(libc::ENETDOWN, "the agent is gone")),
        }
    }
}
