//! An agent goes when nobody needs it any more, and nothing of it stays.
//!
//! Nobody deletes an agent that serves others: it ends by itself when its last session has gone in order, and whoever
//! sees that deletes the Job. A cluster that deletes finished Jobs by their time to live may be faster; a session
//! that was killed leaves it to that, and to the next one.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, PropagationPolicy, WatchEvent, WatchParams},
};

use crate::{agent::AgentPod, client::Cluster, launch::state::phase};

/// How long an agent that has lost its last session may take to be seen ended: it undoes what it did, and a kubelet
/// looks at its containers once a second.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// How long a deletion may take, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(5);
const N_TRIES: u32 = 3;

/// Leaves `agent`, of which the session has parted: deletes its Job if it was the last one. An ephemeral container
/// ends by itself; Kubernetes keeps its name in the pod for as long as the pod lives.
pub async fn remove(cluster: &Cluster, agent: &AgentPod) {
    let Some(job) = &agent.job else { return };
    if has_ended(cluster, agent).await {
        delete_job(cluster, &agent.namespace, job).await;
    }
}

/// Deletes the Job of `agent` without asking who else uses it: for an agent that nobody could have found.
pub async fn delete(cluster: &Cluster, agent: &AgentPod) {
    if let Some(job) = &agent.job {
        delete_job(cluster, &agent.namespace, job).await;
    }
}

/// Whether the agent's container ends while it is waited for, or its pod is gone.
async fn has_ended(cluster: &Cluster, agent: &AgentPod) -> bool {
    tokio::time::timeout(LAST_BREATH, ended(cluster, agent)).await.is_ok()
}

/// Waits until the agent's container has ended, or its pod is gone; through everything that the API server may suffer
/// meanwhile.
pub async fn ended(cluster: &Cluster, agent: &AgentPod) {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &agent.namespace);
    let mut pause = Duration::from_millis(200);
    while !sees_end(&pods, agent).await {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Watches the pod until it has ended, or the API server will not let us watch any longer.
async fn sees_end(pods: &Api<Pod>, agent: &AgentPod) -> bool {
    match pods.get_opt(&agent.pod).await {
        Ok(None) => return true,
        Ok(Some(pod)) if is_over(&pod, agent) => return true,
        _ => {}
    }
    let params = WatchParams::default().fields(&format!("metadata.name={}", agent.pod));
    let Ok(events) = pods.watch(&params, "0").await else { return false };
    let mut events = std::pin::pin!(events);
    while let Some(Ok(event)) = events.next().await {
        match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) if is_over(&pod, agent) => return true,
            WatchEvent::Deleted(_) => return true,
            WatchEvent::Error(_) => return false,
            _ => {}
        }
    }
    false
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

/// Deletes a Job with its pod; it is no fault if it is gone already.
pub(crate) async fn delete_job(cluster: &Cluster, namespace: &str, job: &str) {
    let jobs: Api<Job> = Api::namespaced(cluster.client(), namespace);
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    for _ in 0..N_TRIES {
        match tokio::time::timeout(PATIENCE, jobs.delete(job, &params)).await {
            Ok(Ok(_)) => return,
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403 | 404) => {
                tracing::debug!(job, code = status.code, "not deleted");
                return;
            }
            Ok(Err(error)) => tracing::warn!(job, %error, "the agent's job could not be deleted"),
            Err(_) => tracing::warn!(job, "the API server does not answer"),
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[cfg(test)]
mod tests;
