//! Who deletes which Job, before a scripted API server.

use serde_json::{Value, json};

use super::*;
use crate::fixture::ApiServer;

const POD: &str = "/api/v1/namespaces/shop/pods/agent-x";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const JOB: &str = "DELETE /apis/batch/v1/namespaces/shop/jobs/agent";

fn agent(job: Option<&str>) -> AgentPod {
    AgentPod {
        namespace: "shop".into(),
        pod: "agent-x".into(),
        job: job.map(str::to_owned),
        container: "mirrord-agent".into(),
        port: 61337,
        key: None,
        was_there: true,
    }
}

fn pod(phase: &str) -> Value {
    let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "agent", "uid": "the-job" });
    json!({ "metadata": { "name": "agent-x", "ownerReferences": [owner] }, "status": { "phase": phase } })
}

fn is_deleted(server: &ApiServer) -> bool {
    server.lines().iter().any(|line| line.starts_with(JOB))
}

#[tokio::test]
async fn the_job_of_an_agent_that_ends_is_deleted_whoever_made_it() {
    let server = ApiServer::start().await;
    server.has(POD, pod("Running")).shows(PODS, &pod("Running")).shows(PODS, &pod("Succeeded"));
    remove(&server.cluster().await, &agent(Some("agent"))).await;
    assert!(is_deleted(&server));
    // Not one of the same name that came after it.
    let deletion = server.asked().into_iter().find(|asked| asked.line.starts_with(JOB)).unwrap();
    assert_eq!(deletion.body.pointer("/preconditions/uid"), Some(&json!("the-job")));
}

#[tokio::test]
async fn a_job_whose_pod_is_gone_is_deleted_unless_it_is_making_another() {
    let server = ApiServer::start().await;
    let job = "/apis/batch/v1/namespaces/shop/jobs/agent";
    server.has(job, json!({ "metadata": { "uid": "the-job" }, "status": { "active": 1 } }));
    remove(&server.cluster().await, &agent(Some("agent"))).await;
    assert!(!is_deleted(&server));
    server.has(job, json!({ "metadata": { "uid": "the-job" }, "status": { "failed": 1 } }));
    remove(&server.cluster().await, &agent(Some("agent"))).await;
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn whoever_may_not_delete_jobs_is_told_with_the_rule_and_nothing_is_deleted_by_asking() {
    let server = ApiServer::start().await;
    assert!(denied(&server.cluster().await, &agent(Some("agent"))).await.is_none());
    server.forbids("DELETE", "/apis/batch/v1/namespaces/shop/jobs/agent");
    let why = denied(&server.cluster().await, &agent(Some("agent"))).await.unwrap();
    assert!(why.to_string().contains("jobs"), "{why}");
    assert!(why.hint().unwrap().contains("delete"), "{:?}", why.hint());
    let asked: Vec<_> = server.asked().into_iter().filter(|asked| asked.line.starts_with(JOB)).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.body.get("dryRun") == Some(&json!(["All"]))), "{asked:?}");
}

#[tokio::test]
async fn an_agent_that_serves_others_stays() {
    let server = ApiServer::start().await;
    server.has(POD, pod("Running")).shows(PODS, &pod("Running"));
    remove(&server.cluster().await, &agent(Some("agent"))).await;
    assert!(!is_deleted(&server));
}

#[tokio::test]
async fn an_ephemeral_container_is_left_to_end_by_itself() {
    let server = ApiServer::start().await;
    remove(&server.cluster().await, &agent(None)).await;
    assert!(server.lines().is_empty());
}

/// The Job of an agent that has ended at this moment, and is kept for an hour.
fn finished(name: &str, since: &str) -> Value {
    json!({
        "metadata": { "name": name, "uid": format!("uid-of-{name}") },
        "spec": { "ttlSecondsAfterFinished": 3600, "template": {} },
        "status": { "conditions": [{ "type": "Complete", "status": "True", "lastTransitionTime": since }] },
    })
}

#[tokio::test]
async fn jobs_that_nobody_lived_to_delete_are_deleted_by_the_next_session() {
    let server = ApiServer::start().await;
    let jobs = "/apis/batch/v1/namespaces/shop/jobs";
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let at_work = json!({ "metadata": { "name": "at-work" }, "status": { "active": 1 } });
    server.lists(jobs, &[finished("old", "2026-01-01T00:00:00Z"), finished("kept", &now), at_work]);
    sweep_now(&server.cluster().await, "shop").await;
    let deleted: Vec<String> =
        server.lines().into_iter().filter(|line| line.starts_with("DELETE ")).collect();
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with(&format!("DELETE {jobs}/old")));
    let list = server.lines().into_iter().find(|line| line.starts_with(&format!("GET {jobs}?"))).unwrap();
    assert!(
        list.contains("labelSelector=app.kubernetes.io%2Fmanaged-by%3Dmirrord%2Cmirrord.dev%2Fagent"),
        "{list}"
    );
}

#[tokio::test]
async fn whoever_may_not_list_jobs_leaves_them() {
    let server = ApiServer::start().await;
    server.forbids("GET", "/apis/batch/v1/namespaces/shop/jobs");
    sweep_now(&server.cluster().await, "shop").await;
    assert!(server.lines().iter().all(|line| !line.starts_with("DELETE ")));
}
