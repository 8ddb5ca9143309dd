//! Makes an agent and waits until it serves; what fails is deleted, and says why.
//!
//! The pod is watched from before its Job is created, so nothing is asked twice, and the agent says itself in its log
//! when it can serve. Beside that, three things that can only bring bad news are listened to: the words of a cluster
//! that lets no pod be made (events of the Job), a node that is full, and the clock.

mod birth;
mod ephemeral;
mod guard;
pub mod problem;
mod ready;
mod room;
pub(crate) mod state;
mod watch;

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use k8s_openapi::api::{batch::v1::Job, core::v1::SecurityContext};
use kube::{Api, api::PostParams};
use mirrord_core::cluster::AgentOptions;
use tokio::time::Instant;

use self::{
    birth::{Birth, Made},
    guard::Guard,
    problem::LaunchError,
};
use crate::{
    agent::{AgentPod, Step},
    client::Cluster,
    manifest::{self, ANNOTATION_OWNER, CONTAINER, Plan, privilege::difference},
    pod::TargetPod,
    problem::{Ask, ClusterError},
    remove,
};

/// How long a creation may take: webhooks may take their time over it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes an agent beside `target`, or shares the one that another session has made; without a target, makes one that
/// stands on its own. `client_key` is what clients of an ephemeral container prove to have. Dropped before its end, it
/// leaves nothing behind.
///
/// # Errors
/// When no agent serves in the end, and why; then what was created is deleted.
pub async fn launch(
    cluster: &Cluster,
    options: &AgentOptions,
    target: Option<&TargetPod>,
    client_key: Option<String>,
    owner: &str,
    tell: impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    Box::pin(launch_beside(cluster, options, target, client_key, owner, None, tell)).await
}

/// The same, when `ended` turned out to serve no longer.
///
/// # Errors
/// As of [`launch`].
pub async fn launch_again(
    cluster: &Cluster,
    options: &AgentOptions,
    target: Option<&TargetPod>,
    client_key: Option<String>,
    owner: &str,
    ended: &AgentPod,
    tell: impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    Box::pin(launch_beside(cluster, options, target, client_key, owner, Some(ended), tell)).await
}

async fn launch_beside(
    cluster: &Cluster,
    options: &AgentOptions,
    target: Option<&TargetPod>,
    client_key: Option<String>,
    owner: &str,
    ended: Option<&AgentPod>,
    mut tell: impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    let deadline = Instant::now() + Duration::from_secs(options.startup_timeout);
    // An ephemeral container has its target's network, and with it whoever is there; a Job's pod is its own.
    let client_key = client_key.filter(|_| options.ephemeral);
    // Each such state is keyed by the system's source of randomness.
    let own_name = manifest::name_of(RandomState::new().hash_one(std::process::id()));
    let mut plan = Plan {
        name: &own_name,
        namespace: cluster.namespace(),
        options,
        target,
        client_key: client_key.as_deref(),
        owner,
    };
    let Some(target) = target else {
        if options.ephemeral {
            return Err(LaunchError::NoPod.into());
        }
        return create(cluster, &plan, None, deadline, &mut tell).await;
    };
    if options.ephemeral {
        plan.namespace = &target.namespace;
        return ephemeral::launch(cluster, &plan, target, deadline, &mut tell).await;
    }
    plan.namespace = options.namespace.as_deref().unwrap_or(&target.namespace);
    let shared_name = manifest::shared_name(options, target);
    // Where a pod was taken away, its Job makes another, which nobody may be left alone with.
    let but = ended.filter(|ended| ended.job.as_ref() == Some(&shared_name)).map(|ended| ended.pod.as_str());
    let shared = create(cluster, &Plan { name: &shared_name, ..plan }, but, deadline, &mut tell).await;
    match shared {
        // Its Job is still there, though it has ended or is about to.
        Err(error) if is_of_theirs(&error) => create(cluster, &plan, None, deadline, &mut tell).await,
        outcome => outcome,
    }
}

/// What the user should know of an agent that was reached before it was heard.
pub async fn note_of(cluster: &Cluster, agent: &AgentPod) -> Option<String> {
    let pods = Api::namespaced(cluster.client(), &agent.namespace);
    let following = ready::follow(cluster, &pods, &agent.pod, &agent.container);
    let ready = tokio::time::timeout(PATIENCE, following).await.ok()?.ok()??;
    birth::version_note(&ready)
}

fn is_of_theirs(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Launch(error) if matches!(**error, LaunchError::Theirs { .. }))
}

/// Creates a Job and sees it through until its agent serves.
async fn create(
    cluster: &Cluster,
    plan: &Plan<'_>,
    but: Option<&str>,
    deadline: Instant,
    tell: &mut impl FnMut(Step),
) -> Result<AgentPod, ClusterError> {
    let job = plan.job()?;
    tell(Step::Creating(format!("job `{}` in namespace `{}`", plan.name, plan.namespace)));
    let mut guard = Guard::new(cluster, plan.namespace, plan.name);
    let birth = Birth {
        cluster,
        pods: Api::namespaced(cluster.client(), plan.namespace),
        selector: watch::Selector::Label(plan.selector()),
        container: CONTAINER,
        job: Some(plan.name),
        but,
        room: plan.target.filter(|_| plan.options.check_out_of_pods).map(|target| target.node.as_str()),
        seconds: plan.options.startup_timeout,
        deadline,
    };
    let outcome = birth.see(begin(cluster, plan, job, &mut guard), tell).await;
    match outcome {
        Ok(born) => {
            guard.keep();
            Ok(AgentPod {
                namespace: plan.namespace.to_owned(),
                pod: born.pod,
                job: Some(plan.name.to_owned()),
                container: CONTAINER.to_owned(),
                port: born.ready.port,
                key: born.ready.key,
                was_there: born.was_there,
            })
        }
        Err(error) => {
            guard.delete().await;
            Err(error)
        }
    }
}

/// Has the Job created by a task of its own, so that it is known whether it exists even if nobody waits for it.
fn begin(
    cluster: &Cluster,
    plan: &Plan<'_>,
    job: Job,
    guard: &mut Guard,
) -> impl Future<Output = Result<Made, ClusterError>> + use<> {
    let jobs: Api<Job> = Api::namespaced(cluster.client(), plan.namespace);
    let ask = Ask::new("create", "batch", "jobs").within(plan.namespace);
    let theirs = Theirs {
        jobs: jobs.clone(),
        cluster: cluster.clone(),
        name: plan.name.to_owned(),
        rights: rights(&job).cloned(),
    };
    let (outcome_tx, outcome_rx) = tokio::sync::oneshot::channel();
    guard.created_by(tokio::spawn(async move {
        let outcome = tokio::time::timeout(PATIENCE, jobs.create(&PostParams::default(), &job)).await;
        let is_ours = !matches!(&outcome, Ok(Err(kube::Error::Api(_))));
        let _ = outcome_tx.send(outcome);
        is_ours
    }));
    let cluster = cluster.clone();
    async move {
        match outcome_rx.await {
            Ok(Ok(Ok(job))) => Ok(Made { was_there: false, job: job.metadata.uid, note: None }),
            Ok(Ok(Err(kube::Error::Api(status)))) if status.code == 409 => theirs.look().await,
            Ok(Ok(Err(error))) => Err(cluster.problem(ask, error)),
            _ => Err(ClusterError::NoAnswer {
                address: cluster.address().to_owned(),
                ask: Box::new(ask),
                seconds: PATIENCE.as_secs(),
            }),
        }
    }
}

/// A Job that another session has made.
struct Theirs {
    cluster: Cluster,
    jobs: Api<Job>,
    name: String,
    /// What ours would have been allowed.
    rights: Option<SecurityContext>,
}

impl Theirs {
    async fn look(self) -> Result<Made, ClusterError> {
        let ask = Ask::new("get", "batch", "jobs");
        let ask = ask.within(self.jobs.namespace().unwrap_or_default()).of(&self.name);
        let job = match self.cluster.ask(ask, self.jobs.get_opt(&self.name)).await? {
            Some(job) if job.metadata.deletion_timestamp.is_none() && !remove::has_finished(&job) => job,
            _ => {
                let source = Box::new(LaunchError::Deleted { pod: self.name });
                return Err(LaunchError::Theirs { source }.into());
            }
        };
        let difference = self.rights.zip(rights(&job)).and_then(|(ours, theirs)| difference(&ours, theirs));
        let note = difference.map(|difference| {
            let annotations = job.metadata.annotations.as_ref();
            let owner =
                annotations.and_then(|it| it.get(ANNOTATION_OWNER)).map_or("somebody", String::as_str);
            format!(
                "the agent beside this container was made by `{owner}`, and is shared as it is: {difference}"
            )
        });
        Ok(Made { was_there: true, job: job.metadata.uid, note })
    }
}

/// What the container of a Job's pod may do.
fn rights(job: &Job) -> Option<&SecurityContext> {
    job.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.security_context.as_ref()
}

#[cfg(test)]
mod tests;
