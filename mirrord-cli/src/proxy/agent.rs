//! The far side as the session asks it: the link to its agent, which may be another one after a while.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use mirrord_core::proxy::lost;
use mirrord_protocol::{
    agent::{AgentCall, LaneKey, LaneOpen},
    fault::Fault,
    version::Version,
};
use tokio::sync::oneshot;

use super::{
    handles::Handles,
    link::{self, Link},
};

pub(crate) use super::link::Outcome;

/// The agent of the session. Clones are the same.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// The files that are open there, where an agent may be followed by another.
    handles: Option<Arc<Handles>>,
    /// Whether somebody looks for another one when it is gone.
    is_kept: AtomicBool,
}

enum State {
    /// It is there, as far as is known; and what has seen that it is not.
    Linked(Link, Vec<Waiter>),
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
        Self(Arc::new(Inner {
            state: Mutex::new(State::Linked(link, Vec::new())),
            handles: None,
            is_kept: AtomicBool::new(false),
        }))
    }

    /// The first of what may be several agents, one after another.
    pub(crate) fn first(link: Link) -> Self {
        let handles = Some(Arc::default());
        Self(Arc::new(Inner {
            state: Mutex::new(State::Linked(link, Vec::new())),
            handles,
            is_kept: AtomicBool::new(false),
        }))
    }

    /// From now on somebody tells when it is gone, and looks for another one.
    pub(crate) fn keep(&self) {
        self.0.is_kept.store(true, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent is gone, and another one is looked for: calls wait for it from now on.
    pub(crate) fn seek(&self) {
        let mut state = self.state();
        let waiters = match &mut *state {
            State::Linked(_, waiters) => std::mem::take(waiters),
            State::Sought(_) => return,
            State::Lost => Vec::new(),
        };
        *state = State::Sought(waiters);
    }

    /// There is an agent again.
    pub(crate) fn set(&self, link: &Link) {
        self.settle(State::Linked(link.clone(), Vec::new()), Some(link));
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
        if let State::Sought(waiters) | State::Linked(_, waiters) = before {
            for waiter in waiters {
                waiter(link.cloned());
            }
        }
    }

    /// Waits for a link; `but` is one that has ended.
    fn with_link(&self, but: Option<u64>, then: impl FnOnce(Option<Link>) + Send + 'static) {
        let mut state = self.state();
        let link = match &mut *state {
            State::Linked(link, waiters) if Some(link.id()) == but => return waiters.push(Box::new(then)),
            State::Linked(link, _) => Some(link.clone()),
            State::Sought(waiters) => return waiters.push(Box::new(then)),
            State::Lost => None,
        };
        drop(state);
        then(link);
    }

    /// The link to it, if there is one now.
    pub(crate) fn current(&self) -> Option<Link> {
        match &*self.state() {
            State::Linked(link, _) => Some(link.clone()),
            State::Sought(_) | State::Lost => None,
        }
    }

    /// Whether it is there, and knows what was new in a version.
    pub(crate) fn speaks(&self, version: Version) -> bool {
        self.current().is_some_and(|link| link.speaks(version))
    }

    /// The link to it, once there is one; none if there will be none.
    pub(crate) async fn link(&self) -> Option<Link> {
        let (link_tx, link_rx) = oneshot::channel();
        self.with_link(None, move |link| drop(link_tx.send(link)));
        link_rx.await.unwrap_or_default()
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call(&self, call: AgentCall, descriptor: Option<OwnedFd>) -> Outcome {
        link::wait(call, |call, tell| self.ask(call, descriptor, tell)).await
    }

    /// Asks, from any thread; `tell` is called with the answer, on the thread that listens to the agent.
    pub(crate) fn ask(
        &self,
        call: AgentCall,
        descriptor: Option<OwnedFd>,
        tell: impl FnOnce(Outcome) + Send + 'static,
    ) {
        let Some(handles) = self.0.handles.clone() else {
            return self.with_link(None, move |link| match link {
                Some(link) => link.ask(call, descriptor, tell),
                None => tell(Err(lost::fault(&call))),
            });
        };
        let is_kept = self.0.is_kept.load(Ordering::Acquire);
        if is_kept && descriptor.is_none() && lost::may_repeat(&call) {
            return self.ask_twice(handles, call, tell);
        }
        self.with_link(None, move |link| match link {
            Some(link) => handles.ask(&link, call, descriptor, tell),
            None => tell(Err(lost::fault(&call))),
        });
    }

    /// Asks, and if the agent ends instead of answering, the next one.
    fn ask_twice(&self, handles: Arc<Handles>, call: AgentCall, tell: impl FnOnce(Outcome) + Send + 'static) {
        let this = self.clone();
        self.with_link(None, move |link| {
            let Some(link) = link else { return tell(Err(lost::fault(&call))) };
            let asked = link.clone();
            handles.clone().ask(&link, call.clone(), None, move |outcome| {
                if outcome.is_ok() || !asked.is_gone() {
                    return tell(outcome);
                }
                this.with_link(Some(asked.id()), move |link| match link {
                    Some(link) => handles.ask(&link, call, None, tell),
                    None => tell(outcome),
                });
            });
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
