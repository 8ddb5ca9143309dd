//! Agents that come to be, and such that do not, before a scripted API server.

use futures::FutureExt;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{ApiServer, but, status};

const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const EVENTS: &str = "/api/v1/namespaces/shop/events";
const LOG: &str = "/api/v1/namespaces/shop/pods/agent-x/log";
const READY: &str = "mirrord-agent ready version=0.1.0 port=61337 key=none\n";

fn options() -> AgentOptions {
    AgentOptions {
        image: "agent:1".into(),
        startup_timeout: 30,
        communication_timeout: 30,
        log_level: "info".into(),
        ..AgentOptions::default()
    }
}

fn target() -> TargetPod {
    TargetPod {
        namespace: "shop".into(),
        name: "web".into(),
        uid: "4f5e".into(),
        node: "node-1".into(),
        container: "app".into(),
        container_id: "ab".repeat(32),
        ..TargetPod::default()
    }
}

/// The agent's pod, whose container is in `state`.
fn pod(state: &Value) -> Value {
    json!({
        "metadata": { "name": "agent-x", "namespace": "shop" },
        "spec": { "nodeName": "node-1", "containers": [{ "name": CONTAINER, "image": "agent:1" }] },
        "status": { "phase": "Pending", "containerStatuses": [
            { "name": CONTAINER, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }
        ]},
    })
}

/// The same, controlled by the Job with this uid.
fn of(pod: &Value, job: &str) -> Value {
    let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "agent", "uid": job });
    but(pod.clone(), json!({ "metadata": { "ownerReferences": [owner] } }))
}

/// Where the Job is that all sessions share.
fn their_job() -> String {
    format!("{JOBS}/{}", manifest::shared_name(&options(), &target()))
}

/// A server that takes Jobs.
async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 201, json!({ "metadata": { "name": "x" } }));
    server
}

fn job_of(server: &ApiServer) -> String {
    let asked = server.asked();
    let created = asked.iter().rfind(|asked| asked.line.starts_with("POST ")).unwrap();
    created.body.pointer("/metadata/name").unwrap().as_str().unwrap().to_owned()
}

/// Whether the Job that was created last has been deleted.
fn is_deleted(server: &ApiServer) -> bool {
    let line = format!("DELETE {JOBS}/{}", job_of(server));
    server.lines().iter().any(|asked| asked.starts_with(&line))
}

async fn error(server: &ApiServer, options: &AgentOptions) -> ClusterError {
    let cluster = server.cluster().await;
    launch(&cluster, options, Some(&target()), None, "ann", |_| {}).await.unwrap_err()
}

#[tokio::test]
async fn an_agent_that_says_that_it_is_ready_is_had_and_kept() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "running": {} }))).says(LOG, format!("warming up\n{READY}"));
    let cluster = server.cluster().await;
    let mut steps = Vec::new();
    let agent =
        launch(&cluster, &options(), Some(&target()), None, "ann", |step| steps.push(step)).await.unwrap();
    assert_eq!((agent.pod.as_str(), agent.port, agent.was_there), ("agent-x", 61337, false));
    assert_eq!(agent.job.as_deref(), Some(job_of(&server).as_str()));
    assert!(matches!(steps.as_slice(), [Step::Creating(_), Step::Waiting(_), Step::Seen(..)]), "{steps:?}");
    assert!(!is_deleted(&server));
}

#[tokio::test]
async fn an_agent_that_was_reached_need_not_be_heard() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "waiting": { "reason": "ContainerCreating" } })));
    let cluster = server.cluster().await;
    let (options, target) = (options(), target());
    let mut seen = None;
    let tell = |step| {
        if let Step::Seen(agent, opened) = step {
            opened.tell();
            seen = Some(agent);
        }
    };
    let agent = launch(&cluster, &options, Some(&target), None, "ann", tell).await.unwrap();
    assert_eq!(Some(&agent), seen.as_ref());
    assert_eq!((agent.pod.as_str(), agent.port, agent.was_there), ("agent-x", 61337, false));
    assert!(!is_deleted(&server));
    // What it says later is heard all the same.
    server.says(LOG, READY.replace("version=", "version=9."));
    let note = note_of(&cluster, &agent).await.unwrap();
    assert!(note.contains("of version 9."), "{note}");
}

#[tokio::test]
async fn the_job_of_another_session_is_shared() {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 409, status(409, "AlreadyExists", "jobs \"x\" already exists"));
    server.has(&their_job(), json!({ "metadata": { "uid": "theirs" } }));
    server.shows(PODS, &of(&pod(&json!({ "terminated": { "exitCode": 0 } })), "an-earlier-one"));
    server.shows(PODS, &of(&pod(&json!({ "running": {} })), "theirs")).says(LOG, READY.to_owned());
    let cluster = server.cluster().await;
    let agent = launch(&cluster, &options(), Some(&target()), None, "bob", |_| {}).await.unwrap();
    assert!(agent.was_there);
    assert!(!is_deleted(&server));
}

#[tokio::test]
async fn a_shared_agent_that_has_ended_is_not_waited_for_nor_deleted() {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 409, status(409, "AlreadyExists", "jobs \"x\" already exists"));
    server.has(&their_job(), json!({ "metadata": { "uid": "theirs" } }));
    server.shows(PODS, &of(&pod(&json!({ "terminated": { "exitCode": 0 } })), "theirs"));
    // The second name exists as well here, so that both were tried and both are another session's.
    let error = error(&server, &options()).await;
    assert!(is_of_theirs(&error), "{error}");
    let created: Vec<String> = server.lines().into_iter().filter(|line| line.starts_with("POST ")).collect();
    assert_eq!(created.len(), 2);
    assert!(!is_deleted(&server));
}

#[tokio::test]
async fn pods_of_an_earlier_job_of_the_same_name_do_not_count() {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 201, json!({ "metadata": { "uid": "ours" } }));
    let ending = but(
        of(&pod(&json!({ "terminated": { "exitCode": 0 } })), "an-earlier-one"),
        json!({ "metadata": { "name": "old", "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
    );
    let gone = json!({ "type": "DELETED", "object": ending });
    server.shows(PODS, &ending).says(PODS, format!("{gone}\n"));
    server.shows(PODS, &of(&pod(&json!({ "running": {} })), "ours")).says(LOG, READY.to_owned());
    let cluster = server.cluster().await;
    let agent = launch(&cluster, &options(), Some(&target()), None, "ann", |_| {}).await.unwrap();
    assert_eq!((agent.pod.as_str(), agent.was_there), ("agent-x", false));
}

#[tokio::test]
async fn a_shared_job_that_is_just_deleted_is_made_anew_by_another_name() {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 409, status(409, "AlreadyExists", "jobs \"x\" already exists"));
    let error = error(&server, &options()).await;
    assert!(is_of_theirs(&error), "{error}");
    let created: Vec<_> =
        server.asked().into_iter().filter(|asked| asked.line.starts_with("POST ")).collect();
    let names: Vec<_> = created.iter().map(|asked| asked.body.pointer("/metadata/name")).collect();
    assert!(names.len() == 2 && names.first() != names.last(), "{names:?}");
}

#[tokio::test]
async fn an_older_agent_is_a_warning() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "running": {} })));
    server.says(LOG, READY.replace("0.1.0", "0.0.9"));
    let cluster = server.cluster().await;
    let mut warnings = Vec::new();
    let tell = |step| {
        if let Step::Warning(words) = step {
            warnings.push(words);
        }
    };
    launch(&cluster, &options(), Some(&target()), None, "ann", tell).await.unwrap();
    insta::assert_snapshot!(warnings.concat(), @"the agent is of version 0.0.9, and this mirrord of 0.1.0: `agent.image` should name that of 0.1.0");
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_an_error_at_once_and_the_job_is_deleted() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } })));
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "the agent's image `agent:1` cannot be had (ErrImagePull): not found");
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn a_job_that_is_refused_is_quoted() {
    let server = ApiServer::start().await;
    let words = "admission webhook \"guard.shop\" denied the request: no hostPID here";
    server.answers("POST", JOBS, 403, status(403, "Forbidden", words));
    let error = error(&server, &options()).await;
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn whoever_may_not_create_jobs_is_told_the_rule() {
    let server = ApiServer::start().await;
    server.forbids("POST", JOBS);
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "`ann` may not create jobs in namespace `shop`");
    assert!(error.hint().unwrap().contains("resources: [\"jobs\"]"));
}

#[tokio::test]
async fn whoever_may_not_watch_pods_is_told_the_rule_and_leaves_nothing() {
    let server = server().await;
    server.forbids("GET", PODS);
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "`ann` may not watch pods in namespace `shop`");
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn whoever_may_not_read_logs_is_told_the_rule_and_leaves_nothing() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "running": {} }))).forbids("GET", LOG);
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "`ann` may not get pods/log `agent-x` in namespace `shop`");
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn a_pod_that_the_cluster_refuses_is_quoted_from_the_events_of_its_own_job() {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 201, json!({ "metadata": { "uid": "ours" } }));
    let words = "Error creating: pods \"x\" is forbidden: PodSecurityPolicy: unable to admit pod";
    server.says(PODS, String::new());
    let event = |uid: &str, message: &str| {
        json!({
            "metadata": { "name": "e" }, "involvedObject": { "uid": uid },
            "reason": "FailedCreate", "message": message,
        })
    };
    server.shows(EVENTS, &event("an-earlier-one", "an old story")).shows(EVENTS, &event("ours", words));
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), format!("the cluster refuses the agent's pod: {words}"));
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn a_full_node_is_an_error_before_its_kubelet_says_so() {
    let server = server().await;
    server.says(PODS, String::new());
    server.has(
        "/api/v1/nodes/node-1",
        json!({ "metadata": { "name": "node-1" }, "status": { "allocatable": { "pods": "1" } } }),
    );
    server.lists("/api/v1/pods", &[json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "a" } })]);
    let error = error(&server, &AgentOptions { check_out_of_pods: true, ..options() }).await;
    assert_eq!(
        error.to_string(),
        "the node `node-1` has no room for the agent's pod: it has 1 pods, and may have 1"
    );
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn an_agent_that_ends_at_once_is_quoted() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "terminated": { "exitCode": 101, "reason": "Error" } })));
    server.answers("GET", LOG, 200, json!("cannot enter"));
    let error = error(&server, &options()).await;
    insta::assert_snapshot!(error, @r#"
    the agent ended before it was ready (exit code 101); it said last:
      "cannot enter"
    "#);
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn a_pod_that_somebody_deletes_is_an_error() {
    let server = server().await;
    let gone = json!({ "type": "DELETED", "object": pod(&json!({ "running": {} })) });
    server.says(PODS, format!("{gone}\n"));
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "the agent's pod `agent-x` was deleted before it was ready");
}

#[tokio::test]
async fn too_late_tells_what_was_seen_last() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "waiting": { "reason": "ContainerCreating" } })));
    let error = error(&server, &AgentOptions { startup_timeout: 1, ..options() }).await;
    assert_eq!(
        error.to_string(),
        "the agent was not ready within 1 s: the node `node-1` is at `ContainerCreating`"
    );
    assert!(is_deleted(&server));
}

#[tokio::test]
async fn whoever_gives_up_while_it_starts_leaves_nothing() {
    let server = server().await;
    server.shows(PODS, &pod(&json!({ "waiting": { "reason": "ContainerCreating" } })));
    let cluster = server.cluster().await;
    let (seen_tx, seen_rx) = tokio::sync::oneshot::channel();
    let mut seen_tx = Some(seen_tx);
    let (options, target) = (options(), target());
    let tell = move |step| {
        if matches!(step, Step::Waiting(_)) {
            let _ = seen_tx.take().map(|seen_tx: tokio::sync::oneshot::Sender<()>| seen_tx.send(()));
        }
    };
    tokio::select! {
        _ = launch(&cluster, &options, Some(&target), None, "ann", tell) => panic!("it cannot end"),
        seen = seen_rx => seen.unwrap(),
    }
    while !is_deleted(&server) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_agent_without_a_target_cannot_be_ephemeral() {
    let cluster = server().await.cluster().await;
    let options = AgentOptions { ephemeral: true, ..options() };
    let outcome = launch(&cluster, &options, None, None, "ann", |_| {}).now_or_never().unwrap();
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "an agent without a target cannot be an ephemeral container"
    );
}

mod ephemeral;
mod shared;
