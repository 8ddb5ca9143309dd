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
    json!({ "metadata": { "name": "agent-x" }, "status": { "phase": phase } })
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
}

#[tokio::test]
async fn the_job_of_a_pod_that_is_gone_is_deleted() {
    let server = ApiServer::start().await;
    remove(&server.cluster().await, &agent(Some("agent"))).await;
    assert!(is_deleted(&server));
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
