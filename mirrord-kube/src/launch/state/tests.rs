//! What the status of a pod means.

use serde_json::{Value, json};

use super::*;

fn pod(status: &Value) -> Pod {
    let text = json!({
        "metadata": { "name": "agent-x", "namespace": "shop" },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "mirrord-agent", "image": "agent:1" }] },
        "status": status,
    });
    serde_json::from_value(text).unwrap()
}

fn words(status: &Value) -> String {
    match judge(&pod(status), "mirrord-agent") {
        State::Waiting(words) => format!("waiting: {words}"),
        State::Running => "running".to_owned(),
        State::Ended(how) => format!("ended: {how}"),
        State::Failed(error) => format!("failed: {error}"),
    }
}

fn container(state: &Value) -> Value {
    let status = json!({ "name": "mirrord-agent", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state });
    json!({ "phase": "Pending", "containerStatuses": [status] })
}

#[test]
fn what_is_on_its_way_is_waited_for() {
    assert_eq!(words(&json!({ "phase": "Pending" })), "waiting: the node `node-1` has not begun with it");
    let status = container(&json!({ "waiting": { "reason": "ContainerCreating" } }));
    assert_eq!(words(&status), "waiting: the node `node-1` is at `ContainerCreating`");
    assert_eq!(words(&container(&json!({ "running": {} }))), "running");
}

#[test]
fn an_image_that_cannot_be_pulled_fails_at_once_in_the_nodes_words() {
    for reason in NO_IMAGE {
        let status = container(&json!({ "waiting": { "reason": reason, "message": "no such\n host" } }));
        assert_eq!(
            words(&status),
            format!("failed: the agent's image `agent:1` cannot be had ({reason}): no such host")
        );
    }
}

#[test]
fn a_container_that_cannot_be_made_fails_at_once() {
    let status = container(&json!({ "waiting": { "reason": "CreateContainerError", "message": "no shim" } }));
    assert_eq!(
        words(&status),
        "failed: the node cannot start the agent's container (CreateContainerError): no shim"
    );
}

#[test]
fn a_node_that_is_full_or_will_not_says_why() {
    let full = json!({ "phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough resource: pods" });
    assert_eq!(
        words(&full),
        "failed: the node `node-1` has no room for the agent's pod: OutOfpods: Node didn't have enough resource: pods"
    );
    let taint = json!({ "phase": "Failed", "reason": "NodeAffinity", "message": "it does not match" });
    assert_eq!(
        words(&taint),
        "failed: the node `node-1` refuses the agent's pod (NodeAffinity): it does not match"
    );
}

#[test]
fn a_pod_that_no_node_takes_fails_with_the_schedulers_words() {
    let status = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available" }
    ]});
    assert_eq!(words(&status), "failed: no node takes the agent's pod: 0/1 nodes are available");
}

#[test]
fn an_agent_that_has_ended_tells_how() {
    let status = container(&json!({ "terminated": { "exitCode": 101, "reason": "Error" } }));
    assert_eq!(words(&status), "ended: exit code 101");
    let status = container(&json!({ "terminated": { "exitCode": 137, "signal": 9, "reason": "OOMKilled" } }));
    assert_eq!(words(&status), "ended: signal 9, OOMKilled");
}

#[test]
fn an_ephemeral_container_is_told_from_the_others() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "app" }], "ephemeralContainers": [{ "name": "mirrord-agent", "image": "agent:1" }] },
        "status": {
            "phase": "Running",
            "containerStatuses": [{ "name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} } }],
            "ephemeralContainerStatuses": [{ "name": "mirrord-agent", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ErrImagePull" } } }],
        },
    }))
    .unwrap();
    assert!(matches!(judge(&pod, "mirrord-agent"), State::Failed(LaunchError::Image { .. })));
    assert!(matches!(judge(&pod, "app"), State::Running));
}
