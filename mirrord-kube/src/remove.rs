//! An agent goes when nobody needs it any more, and nothing of it stays.
//!
//! Nobody deletes an agent that serves others: it ends by itself when its last session has gone in order, and whoever
//! sees that deletes the Job. A cluster that deletes finished Jobs by their time to live may be faster; a session
//! that was killed leaves it to that, and to the next one.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use futures::StreamExt;
use k8s_openapi::api::{
    batch::v1::{Job, JobCondition},
    core::v1::Pod,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions, PropagationPolicy, WatchEvent, WatchParams},
};

use crate::{
    agent::AgentPod,
    client::Cluster,
    launch::state::phase,
    manifest::{LABEL_AGENT, LABEL_OURS},
    problem::{Ask, ClusterError},
};

/// How long an agent that has lost its last session may take to be seen ended: it undoes what it did, and a kubelet
/// looks at its containers once a second.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// How long a deletion may take, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(5);
const N_TRIES: u32 = 3;
/// How soon something is tried again.
const AGAIN: Duration = Duration::from_millis(300);

/// Leaves `agent`, of which the session has parted: deletes its Job if it was the last one. An ephemeral container
/// ends by itself; Kubernetes keeps its name in the pod for as long as the pod lives.
pub async fn remove(cluster: &Cluster, agent: &AgentPod) {
    let Some(job) = &agent.job else { return };
    let uid = match tokio::time::timeout(LAST_BREATH, end(cluster, agent)).await {
        Ok(Ended::Pod(uid)) => uid,
        Ok(Ended::Unseen) => idle(cluster, &agent.namespace, job).await,
        Err(_) => None,
    };
    // Another session may by now have made another agent of the same name.
    if let Some(uid) = uid {
        delete_job(cluster, &agent.namespace, job, Some(uid)).await;
    }
}

/// Deletes the Job of `agent` without asking who else uses it: for an agent that nobody could have found.
pub async fn delete(cluster: &Cluster, agent: &AgentPod) {
    if let Some(job) = &agent.job {
        delete_job(cluster, &agent.namespace, job, None).await;
    }
}

/// Why the Job of `agent` could not be deleted at the end, if that is not allowed: asked by a deletion that is none.
pub async fn denied(cluster: &Cluster, agent: &AgentPod) -> Option<ClusterError> {
    let job = agent.job.as_ref()?;
    let jobs: Api<Job> = Api::namespaced(cluster.client(), &agent.namespace);
    let params = DeleteParams { dry_run: true, ..DeleteParams::default() };
    match tokio::time::timeout(PATIENCE, jobs.delete(job, &params)).await {
        Ok(Err(error)) if is_denied(&error) => {
            let ask = Ask::new("delete", "batch", "jobs").within(&agent.namespace).of(job);
            Some(cluster.problem(ask, error))
        }
        _ => None,
    }
}

/// Deletes, while the session goes on, the Jobs of agents that have ended, which no session lived to do: where finished
/// Jobs have no time to live, nobody else ever would. Whoever may not list Jobs leaves them.
pub fn sweep(cluster: &Cluster, namespace: &str) {
    let (this, namespace) = (cluster.clone(), namespace.to_owned());
    cluster.run_errand(async move { sweep_now(&this, &namespace).await });
}

async fn sweep_now(cluster: &Cluster, namespace: &str) {
    let jobs: Api<Job> = Api::namespaced(cluster.client(), namespace);
    let ours = ListParams::default().labels(&format!("{LABEL_OURS},{LABEL_AGENT}"));
    let Ok(Ok(jobs)) = tokio::time::timeout(PATIENCE, jobs.list(&ours)).await else { return };
    for job in jobs {
        let (name, uid) = (job.name_any(), job.uid());
        if job.metadata.deletion_timestamp.is_none() && is_overdue(&job, SystemTime::now()) {
            tracing::info!(
                job = name,
                "a finished agent's job is deleted, whose sessions did not live to do it"
            );
            delete_job(cluster, namespace, &name, uid).await;
        }
    }
}

/// That a Job has come to its end, if it has.
fn end_of(job: &Job) -> Option<&JobCondition> {
    let mut conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|it| matches!(it.type_.as_str(), "Complete" | "Failed") && it.status == "True")
}

/// Whether a Job makes no pod any more.
pub(crate) fn has_finished(job: &Job) -> bool {
    end_of(job).is_some()
}

/// Whether a Job has been finished for longer than it is to be kept.
fn is_overdue(job: &Job, now: SystemTime) -> bool {
    let Some(since) = end_of(job).and_then(|end| end.last_transition_time.as_ref()) else { return false };
    let kept = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished).unwrap_or_default();
    let kept = Duration::from_secs(u64::try_from(kept).unwrap_or_default()) + LAST_BREATH;
    // By clocks that need not agree: nothing is lost when they do not, since what has finished serves nobody.
    now.duration_since(SystemTime::from(since.0)).is_ok_and(|age| age > kept)
}

/// Waits until the agent's container has ended, or its pod is gone; through everything that the API server may suffer
/// meanwhile.
pub async fn ended(cluster: &Cluster, agent: &AgentPod) {
    end(cluster, agent).await;
}

async fn end(cluster: &Cluster, agent: &AgentPod) -> Ended {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &agent.namespace);
    let mut pause = Duration::from_millis(200);
    loop {
        if let Some(ended) = see_end(&pods, agent).await {
            return ended;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// How an agent has ended.
enum Ended {
    /// Its pod is over, which was of the Job with this uid.
    Pod(Option<String>),
    /// There is no such pod any more.
    Unseen,
}

/// Watches the pod until it has ended; none if the API server will not let us watch any longer.
async fn see_end(pods: &Api<Pod>, agent: &AgentPod) -> Option<Ended> {
    match pods.get_opt(&agent.pod).await {
        Ok(None) => return Some(Ended::Unseen),
        Ok(Some(pod)) if is_over(&pod, agent) => return Some(Ended::Pod(job_of(&pod))),
        _ => {}
    }
    let params = WatchParams::default().fields(&format!("metadata.name={}", agent.pod));
    let mut events = pin!(pods.watch(&params, "0").await.ok()?);
    while let Some(Ok(event)) = events.next().await {
        match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) if is_over(&pod, agent) => {
                return Some(Ended::Pod(job_of(&pod)));
            }
            WatchEvent::Deleted(pod) => return Some(Ended::Pod(job_of(&pod))),
            WatchEvent::Error(_) => return None,
            _ => {}
        }
    }
    None
}

fn job_of(pod: &Pod) -> Option<String> {
    pod.owner_references().iter().find(|owner| owner.kind == "Job").map(|owner| owner.uid.clone())
}

/// The uid of a Job that has no pod at work.
async fn idle(cluster: &Cluster, namespace: &str, job: &str) -> Option<String> {
    let jobs: Api<Job> = Api::namespaced(cluster.client(), namespace);
    let job = tokio::time::timeout(PATIENCE, jobs.get_opt(job)).await.ok()?.ok()??;
    let status = job.status.unwrap_or_default();
    let is_finished = status.succeeded.or(status.failed).is_some_and(|n_pods| n_pods > 0);
    job.metadata.uid.filter(|_| is_finished && status.active.unwrap_or_default() == 0)
}

fn is_over(pod: &Pod, agent: &AgentPod) -> bool {
    let status = pod.status.as_ref();
    let statuses = status.and_then(|status| match agent.job {
        Some(_) => status.container_statuses.as_ref(),
        None => status.ephemeral_container_statuses.as_ref(),
    });
    let own = statuses.into_iter().flatten().find(|one| one.name == agent.container);
    let state = own.and_then(|own| own.state.as_ref());
    matches!(phase(pod), "Succeeded" | "Failed") || state.is_some_and(|state| state.terminated.is_some())
}

fn is_denied(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

/// Deletes a Job with its pod, if it is the one with `uid`; it is no fault if it is gone already.
pub(crate) async fn delete_job(cluster: &Cluster, namespace: &str, job: &str, uid: Option<String>) {
    let jobs: Api<Job> = Api::namespaced(cluster.client(), namespace);
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: uid.map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    };
    for _ in 0..N_TRIES {
        match tokio::time::timeout(PATIENCE, jobs.delete(job, &params)).await {
            Ok(Ok(_)) => return,
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => return,
            Ok(Err(error @ kube::Error::Api(_))) if is_denied(&error) => {
                let ask = Ask::new("delete", "batch", "jobs").within(namespace).of(job);
                let why = cluster.problem(ask, error);
                tracing::warn!(%why, hint = why.hint(), "the agent's job stays until it is removed otherwise");
                return;
            }
            Ok(Err(error)) => tracing::warn!(job, %error, "the agent's job could not be deleted"),
            Err(_) => tracing::warn!(job, "the API server does not answer"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests;
