//! Agents that another session has made: with other rights, or whose pod was taken away.

use serde_json::{Value, json};

use super::*;

/// A server where somebody's Job is, by the name that all sessions share.
async fn server(job: Value) -> ApiServer {
    let server = ApiServer::start().await;
    server.answers("POST", JOBS, 409, status(409, "AlreadyExists", "jobs \"x\" already exists"));
    server.has(&their_job(), job);
    server
}

fn ended() -> AgentPod {
    AgentPod {
        namespace: "shop".into(),
        pod: "agent-old".into(),
        job: Some(manifest::shared_name(&options(), &target())),
        container: CONTAINER.into(),
        port: 61337,
        key: None,
        was_there: false,
    }
}

fn old(state: &Value) -> Value {
    but(of(&pod(state), "theirs"), json!({ "metadata": { "name": "agent-old" } }))
}

#[tokio::test]
async fn whoever_shares_an_agent_with_other_rights_is_told_which() {
    let context = json!({ "capabilities": { "add": ["SYS_PTRACE", "SYS_TIME"] }, "privileged": true });
    let server = server(json!({
        "metadata": { "uid": "theirs", "annotations": { "mirrord.dev/owner": "bob@desk" } },
        "spec": { "template": { "spec": { "containers": [{ "name": CONTAINER, "securityContext": context }] } } },
    }))
    .await;
    server.shows(PODS, &of(&pod(&json!({ "running": {} })), "theirs")).says(LOG, READY.to_owned());
    let cluster = server.cluster().await;
    let mut warnings = Vec::new();
    let tell = |step| {
        if let Step::Warning(words) = step {
            warnings.push(words);
        }
    };
    let options = AgentOptions { disabled_capabilities: vec!["CHOWN".into()], ..options() };
    launch(&cluster, &options, Some(&target()), None, "ann", tell).await.unwrap();
    insta::assert_snapshot!(warnings.join("\n"), @"the agent beside this container was made by `bob@desk`, and is shared as it is: privileged; without DAC_OVERRIDE, FOWNER, NET_ADMIN, NET_RAW, SETGID, SETUID, SYS_ADMIN; with SYS_TIME");
}

#[tokio::test]
async fn the_pod_that_a_job_makes_for_one_that_was_taken_away_is_joined() {
    let server = server(json!({ "metadata": { "uid": "theirs" }, "status": { "active": 1 } })).await;
    server.shows(PODS, &old(&json!({ "running": {} })));
    let gone = json!({ "type": "DELETED", "object": old(&json!({ "running": {} })) });
    server.says(PODS, format!("{gone}\n"));
    server.shows(PODS, &of(&pod(&json!({ "running": {} })), "theirs")).says(LOG, READY.to_owned());
    let cluster = server.cluster().await;
    let agent =
        launch_again(&cluster, &options(), Some(&target()), None, "ann", &ended(), |_| {}).await.unwrap();
    assert_eq!((agent.pod.as_str(), agent.was_there), ("agent-x", true));
}

#[tokio::test]
async fn a_job_whose_agent_has_ended_is_not_waited_for() {
    let server = server(json!({ "metadata": { "uid": "theirs" }, "status": { "active": 1 } })).await;
    server.shows(PODS, &old(&json!({ "terminated": { "exitCode": 137 } })));
    let cluster = server.cluster().await;
    let error =
        launch_again(&cluster, &options(), Some(&target()), None, "ann", &ended(), |_| {}).await.unwrap_err();
    // The other name is taken here, too.
    assert!(is_of_theirs(&error), "{error}");
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("POST ")).count(), 2);
}

#[tokio::test]
async fn a_job_that_has_finished_is_not_waited_for() {
    let server = server(json!({
        "metadata": { "uid": "theirs" },
        "status": { "conditions": [{ "type": "Complete", "status": "True" }] },
    }))
    .await;
    server.says(PODS, String::new());
    let error = error(&server, &options()).await;
    assert!(is_of_theirs(&error), "{error}");
}

#[tokio::test]
async fn whoever_may_not_look_at_the_job_that_is_there_is_told_the_rule() {
    let server = server(json!({})).await;
    server.forbids("GET", &their_job());
    let error = error(&server, &options()).await;
    let job = manifest::shared_name(&options(), &target());
    assert_eq!(error.to_string(), format!("`ann` may not get jobs `{job}` in namespace `shop`"));
}
