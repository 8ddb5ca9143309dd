//! From the wish for an agent to its first words, and all that can come between.

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{self, FusedFuture},
};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, interval_at, sleep, sleep_until};

use super::{
    problem::LaunchError,
    ready::{self, Ready},
    room,
    state::{State, judge},
    watch::{self, Change, Refusal, Selector},
};
use crate::{
    agent::{AgentPod, Opened, Step},
    client::Cluster,
    manifest::PORT,
    problem::{Ask, ClusterError},
};

/// After how long a pod that is not there is worth a look at the events.
const NO_POD_YET: Duration = Duration::from_millis(300);
/// How often the user hears that it takes long.
const TAKES_LONG: Duration = Duration::from_secs(20);
/// How long a Job whose agent has ended may take to make another one.
const ANOTHER: Duration = Duration::from_secs(5);
/// How long it may take to hear of the end of a container whose log has ended.
const LOG_BEFORE_STATUS: Duration = Duration::from_secs(3);

/// Where an agent is being born.
pub(super) struct Birth<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) pods: Api<Pod>,
    pub(super) selector: Selector,
    pub(super) container: &'a str,
    /// The Job whose events tell why there is no pod.
    pub(super) job: Option<&'a str>,
    /// A pod of the Job that is of no use any more: where the Job makes another, that is meant.
    pub(super) but: Option<&'a str>,
    /// The node that may be full.
    pub(super) room: Option<&'a str>,
    pub(super) seconds: u64,
    pub(super) deadline: Instant,
}

/// What creates an agent has come to.
#[derive(Default)]
pub(super) struct Made {
    /// Whether another session has made it.
    pub(super) was_there: bool,
    /// The uid of the Job whose pod it is: earlier ones of the same name may still have pods that end.
    pub(super) job: Option<String>,
    /// What the user should know of it.
    pub(super) note: Option<String>,
}

/// An agent that serves.
pub(super) struct Born {
    pub(super) pod: String,
    pub(super) ready: Ready,
    /// Whether another session made it.
    pub(super) was_there: bool,
}

/// What was seen last.
struct Seen {
    words: String,
    pod: Option<String>,
    has_spoken: bool,
    has_ended: bool,
    opened: Opened,
    /// None until it is known.
    made: Option<Made>,
    /// What was heard before that.
    early: VecDeque<Change>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            words: "nothing is known of its pod".to_owned(),
            pod: None,
            has_spoken: false,
            has_ended: false,
            opened: Opened::default(),
            made: None,
            early: VecDeque::new(),
        }
    }
}

impl Seen {
    fn was_there(&self) -> bool {
        self.made.as_ref().is_some_and(|made| made.was_there)
    }

    /// The Job that it is known to be.
    fn job(&self) -> Option<&String> {
        self.made.as_ref()?.job.as_ref()
    }

    /// The next change that can be judged: none before it is known of which Job it must be.
    async fn next(&mut self, mut changes: Pin<&mut impl Stream<Item = Change>>) -> Option<Change> {
        while self.made.is_none() {
            let change = changes.next().await?;
            self.early.push_back(change);
        }
        match self.early.pop_front() {
            Some(change) => Some(change),
            None => changes.next().await,
        }
    }

    fn is_of_the_job(&self, pod: &Pod) -> bool {
        self.job().is_none_or(|uid| pod.owner_references().iter().any(|owner| owner.uid == *uid))
    }
}

impl Birth<'_> {
    /// Waits until the agent serves that `creation` makes, or cannot.
    pub(super) async fn see(
        &self,
        creation: impl Future<Output = Result<Made, ClusterError>>,
        tell: &mut impl FnMut(Step),
    ) -> Result<Born, ClusterError> {
        let mut seen = Seen::default();
        match Box::pin(self.wait(creation, &mut seen, tell)).await {
            Err(ClusterError::Launch(source)) if seen.was_there() => {
                Err(LaunchError::Theirs { source }.into())
            }
            outcome => outcome,
        }
    }

    async fn wait(
        &self,
        creation: impl Future<Output = Result<Made, ClusterError>>,
        seen: &mut Seen,
        tell: &mut impl FnMut(Step),
    ) -> Result<Born, ClusterError> {
        let begun = Instant::now();
        let mut creation = pin!(creation.fuse());
        let mut changes = pin!(watch::pods(&self.pods, &self.selector));
        let mut refusals = pin!(self.refusals());
        let mut no_room = pin!(self.no_room());
        let mut words = pin!(future::Fuse::terminated());
        let opened = seen.opened.clone();
        let mut late = pin!(sleep_until(match self.but {
            Some(_) => self.deadline.min(begun + ANOTHER),
            None => self.deadline,
        }));
        let mut long = interval_at(begun + TAKES_LONG, TAKES_LONG);
        loop {
            tokio::select! {
                outcome = &mut creation => {
                    let mut made = outcome?;
                    if let Some(note) = made.note.take() {
                        tell(Step::Warning(note));
                    }
                    seen.made = Some(made);
                }
                Some(change) = seen.next(changes.as_mut()) => {
                    let was_none = seen.pod.is_none();
                    let running = self.change(change, seen, tell)?;
                    if was_none && seen.pod.is_some() {
                        late.as_mut().reset(self.deadline);
                    }
                    match running.filter(|_| words.is_terminated() && !seen.has_spoken) {
                        Some(pod) => words.set(self.words(pod).fuse()),
                        None if seen.has_ended && words.is_terminated() => return Err(self.ended(seen).await),
                        None => {}
                    }
                }
                ready = &mut words => {
                    if let Some((pod, ready)) = ready? {
                        if let Some(note) = version_note(&ready) {
                            tell(Step::Warning(note));
                        }
                        return Ok(Born { pod, ready, was_there: seen.was_there() });
                    }
                    // Its log has ended; why, its status will say.
                    seen.has_spoken = true;
                    if seen.has_ended {
                        return Err(self.ended(seen).await);
                    }
                    late.as_mut().reset(self.deadline.min(Instant::now() + LOG_BEFORE_STATUS));
                }
                () = opened.told() => {
                    let (pod, was_there) = (seen.pod.clone().unwrap_or_default(), seen.was_there());
                    return Ok(Born { pod, ready: Ready::unheard(), was_there });
                }
                Some(refusal) = refusals.next(), if seen.pod.is_none() => {
                    let (ours, words) = (seen.job(), refusal.words);
                    if ours.is_none() || ours == refusal.job.as_ref() {
                        return Err(LaunchError::PodRefused { words }.into());
                    }
                }
                error = &mut no_room => return Err(error.into()),
                _ = long.tick() => {
                    let seconds = begun.elapsed().as_secs();
                    tell(Step::Warning(format!("the agent takes {seconds} s by now: {}", seen.words)));
                }
                () = &mut late => {
                    let seconds = begun.elapsed().as_secs().min(self.seconds);
                    return Err(LaunchError::TooLate { seconds, last: seen.words.clone() }.into());
                }
            }
        }
    }

    /// The pod's name, once its container runs.
    fn change(
        &self,
        change: Change,
        seen: &mut Seen,
        tell: &mut impl FnMut(Step),
    ) -> Result<Option<String>, ClusterError> {
        let is_over = |pod: &Pod| matches!(judge(pod, self.container), State::Failed(_) | State::Ended(_));
        let is_useless = |pod: &Pod| self.but.is_some_and(|but| but == pod.name_any());
        let pod = match change {
            Change::Is(pod) | Change::Gone(pod) if !seen.is_of_the_job(&pod) => return Ok(None),
            // A Job whose pod has come to its end makes no other one; whose pod was taken away does.
            Change::Is(pod) if is_useless(&pod) && is_over(&pod) => {
                return Err(LaunchError::Deleted { pod: pod.name_any() }.into());
            }
            Change::Is(pod) | Change::Gone(pod) if is_useless(&pod) => return Ok(None),
            Change::Is(pod) => pod,
            Change::Gone(pod) => return Err(LaunchError::Deleted { pod: pod.name_any() }.into()),
            Change::Denied(error) => return Err(self.cluster.problem(self.ask("watch", "pods"), *error)),
        };
        let name = pod.name_any();
        if seen.pod.is_none() {
            tell(Step::Waiting(format!("pod `{name}`")));
            if let Some(job) = self.job.filter(|_| !seen.was_there()) {
                tell(Step::Seen(self.unborn(&name, job), seen.opened.clone()));
            }
        }
        seen.pod = Some(name.clone());
        let has_run = match judge(&pod, self.container) {
            State::Failed(error) => return Err(error.into()),
            State::Waiting(words) => {
                seen.words = words;
                false
            }
            State::Running => {
                "its container runs, but it has not said that it is ready".clone_into(&mut seen.words);
                true
            }
            State::Ended(how) => {
                seen.words = how;
                seen.has_ended = true;
                false
            }
        };
        Ok(has_run.then_some(name))
    }

    /// What is known of an agent before it has said a word: in a pod of its own it serves the same port always.
    fn unborn(&self, pod: &str, job: &str) -> AgentPod {
        AgentPod {
            namespace: self.pods.namespace().unwrap_or_default().to_owned(),
            pod: pod.to_owned(),
            job: Some(job.to_owned()),
            container: self.container.to_owned(),
            port: PORT,
            key: None,
            was_there: false,
        }
    }

    /// The agent's own words; none, when its log has ended without them.
    async fn words(&self, pod: String) -> Result<Option<(String, Ready)>, ClusterError> {
        let ready = ready::follow(self.cluster, &self.pods, &pod, self.container).await?;
        Ok(ready.map(|ready| (pod, ready)))
    }

    async fn ended(&self, seen: &Seen) -> ClusterError {
        let last = match &seen.pod {
            Some(pod) => ready::last_words(&self.pods, pod, self.container).await,
            None => Vec::new(),
        };
        LaunchError::Ended { how: seen.words.clone(), last }.into()
    }

    /// Why the Job gets no pod, if it gets none.
    fn refusals(&self) -> impl Stream<Item = Refusal> + use<> {
        let namespace = self.pods.namespace().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.cluster.client(), namespace);
        let job = self.job.map(str::to_owned);
        future::ready(job)
            .then(async |job| {
                sleep(NO_POD_YET).await;
                job
            })
            .into_stream()
            .filter_map(future::ready)
            .map(move |job| watch::refusals(&events, &job))
            .flatten()
    }

    /// Ends only if the node is full.
    async fn no_room(&self) -> LaunchError {
        match (self.room, &self.selector) {
            (Some(node), Selector::Label(ours)) => match room::is_full(self.cluster, node, ours).await {
                Some(words) => LaunchError::NodeFull { node: node.to_owned(), words },
                None => future::pending().await,
            },
            _ => future::pending().await,
        }
    }

    fn ask(&self, verb: &'static str, resource: &'static str) -> Ask {
        Ask::new(verb, "", resource).within(self.pods.namespace().unwrap_or_default())
    }
}

/// What the user should know of the version that an agent says it is of.
pub(super) fn version_note(ready: &Ready) -> Option<String> {
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), &ready.version);
    (theirs != ours).then(|| {
        format!(
            "the agent is of version {theirs}, and this mirrord of {ours}: `agent.image` should name that of {ours}"
        )
    })
}
