//! Which agents stand in a cluster, as far as one may see.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt, api::ListParams};

use crate::{
    client::Cluster,
    manifest::{ANNOTATION_OWNER, ANNOTATION_TARGET, LABEL_AGENT, LABEL_OURS, LABEL_VERSION},
    problem::{Ask, ClusterError},
    remove::has_finished,
};

/// An agent that is a Job: one that is a container of its target's pod is seen there alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// Its Job.
    pub job: String,
    /// Where that is.
    pub namespace: String,
    /// Beside which container it stands; none without a target.
    pub target: Option<String>,
    /// Whose session has made it. Others may share it.
    pub owner: String,
    /// Of which version it is.
    pub version: String,
    /// Whether it serves nobody any more.
    pub has_ended: bool,
    /// How old it is.
    pub age: Duration,
}

/// The agents of the cluster's namespace, or of all of them, the oldest first.
///
/// # Errors
/// When Jobs may not be listed there.
pub async fn agents(cluster: &Cluster, everywhere: bool) -> Result<Vec<Hand>, ClusterError> {
    let ask = Ask::new("list", "batch", "jobs");
    let (jobs, ask): (Api<Job>, _) = if everywhere {
        (Api::all(cluster.client()), ask)
    } else {
        (Api::namespaced(cluster.client(), cluster.namespace()), ask.within(cluster.namespace()))
    };
    let ours = ListParams::default().labels(&format!("{LABEL_OURS},{LABEL_AGENT}"));
    let jobs = cluster.ask(ask, jobs.list(&ours)).await?;
    let now = SystemTime::now();
    let mut hands: Vec<Hand> = jobs.into_iter().map(|job| hand(&job, now)).collect();
    hands.sort_by_key(|hand| std::cmp::Reverse(hand.age));
    Ok(hands)
}

fn hand(job: &Job, now: SystemTime) -> Hand {
    let note = |name: &str| job.annotations().get(name).cloned();
    let born = job.metadata.creation_timestamp.as_ref().map(|time| SystemTime::from(time.0));
    Hand {
        job: job.name_any(),
        namespace: job.namespace().unwrap_or_default(),
        target: note(ANNOTATION_TARGET),
        owner: note(ANNOTATION_OWNER).unwrap_or_default(),
        version: job.labels().get(LABEL_VERSION).cloned().unwrap_or_default(),
        has_ended: has_finished(job),
        age: born.and_then(|born| now.duration_since(born).ok()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::ApiServer;

    fn job(name: &str, born: &str, more: &Value) -> Value {
        json!({
            "metadata": {
                "name": name, "namespace": "shop", "creationTimestamp": born,
                "labels": { "mirrord.dev/version": "0.1.0" },
                "annotations": { "mirrord.dev/owner": "ann@desk", "mirrord.dev/target": "pod/web/container/app" },
            },
            "status": more,
        })
    }

    #[tokio::test]
    async fn agents_are_told_with_their_owners_the_oldest_first() {
        let server = ApiServer::start().await;
        let ended = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
        server.lists(
            "/apis/batch/v1/jobs",
            &[job("b", "2026-01-02T00:00:00Z", &json!({})), job("a", "2026-01-01T00:00:00Z", &ended)],
        );
        let agents = agents(&server.cluster().await, true).await.unwrap();
        let told: Vec<_> = agents.iter().map(|it| (it.job.as_str(), it.has_ended)).collect();
        assert_eq!(told, [("a", true), ("b", false)]);
        assert_eq!(agents[0].owner, "ann@desk");
        assert_eq!(agents[0].target.as_deref(), Some("pod/web/container/app"));
    }

    #[tokio::test]
    async fn whoever_may_not_list_jobs_is_told_the_rule() {
        let server = ApiServer::start().await;
        server.forbids("GET", "/apis/batch/v1/namespaces/shop/jobs");
        let error = agents(&server.cluster().await, false).await.unwrap_err();
        assert_eq!(error.to_string(), "`ann` may not list jobs in namespace `shop`");
        assert!(error.hint().unwrap().contains("verbs: [\"list\"]"));
    }
}
