//! Pods of every state, and what is thought of them.

use serde_json::{Value, json};

use super::*;
use crate::fixture::{but, container_status, pod};

fn parse(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn chosen(value: Value) -> Choice {
    choose(&parse(value), None).unwrap()
}

fn with_containers(names: &[&str]) -> Value {
    let containers: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    let statuses: Vec<Value> = names.iter().map(|name| container_status(name)).collect();
    but(
        pod("web-1"),
        json!({ "spec": { "containers": containers }, "status": { "containerStatuses": statuses } }),
    )
}

fn why_not(changes: Value) -> String {
    match judge(&parse(but(pod("web-1"), changes)), None) {
        Err(Unfit::NotReady(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn waiting(reason: &str, message: &str) -> Value {
    let status = json!({ "waiting": { "reason": reason, "message": message } });
    json!([but(container_status("app"), json!({ "ready": false, "state": status }))])
}

#[test]
fn a_running_pod_is_known_by_heart() {
    insta::assert_debug_snapshot!(judge(&parse(pod("web-1")), None).unwrap());
}

#[test]
fn sidecars_of_others_are_not_taken_for_the_application() {
    assert_eq!(chosen(with_containers(&["istio-proxy", "app"])).container, "app");
    assert_eq!(chosen(with_containers(&["istio-proxy", "app"])).among, ["app"]);
    assert_eq!(chosen(with_containers(&["istio-proxy"])).container, "istio-proxy");
    assert_eq!(chosen(with_containers(&["app", "worker"])).among, ["app", "worker"]);
}

#[test]
fn the_container_that_the_pod_names_is_no_guess() {
    let annotations = json!({ "metadata": { "annotations": { DEFAULT_CONTAINER: "worker" } } });
    let choice = chosen(but(with_containers(&["app", "worker"]), annotations));
    assert_eq!(choice, Choice { container: "worker".into(), among: vec![] });
}

#[test]
fn a_wanted_container_must_be_there() {
    let two = parse(with_containers(&["app", "worker"]));
    assert_eq!(judge(&two, Some("worker")).unwrap().container_id, "id-of-worker");
    assert_eq!(judge(&two, Some("wroker")), Err(Unfit::NoContainer(vec!["app".into(), "worker".into()])));
}

#[test]
fn an_init_container_that_goes_on_can_be_wanted() {
    let changes = json!({
        "spec": { "initContainers": [{ "name": "side", "restartPolicy": "Always" }, { "name": "setup" }] },
        "status": { "initContainerStatuses": [container_status("side")] },
    });
    let it = parse(but(pod("web-1"), changes));
    assert_eq!(judge(&it, Some("side")).unwrap().container_id, "id-of-side");
    assert_eq!(judge(&it, Some("setup")), Err(Unfit::NoContainer(vec!["app".into()])));
}

#[test]
fn an_unknown_runtime_is_told() {
    let status = but(container_status("app"), json!({ "containerID": "rkt://1" }));
    let it = but(pod("web-1"), json!({ "status": { "containerStatuses": [status] } }));
    assert_eq!(judge(&parse(it), None), Err(Unfit::Runtime("app".into(), "rkt".into())));
}

#[test]
fn each_state_has_its_reason() {
    let scheduling = json!([{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: too small" }]);
    let ended = json!([but(
        container_status("app"),
        json!({
            "ready": false, "state": { "running": null, "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
        })
    )]);
    let init = json!([but(
        container_status("setup"),
        json!({
            "ready": false, "state": { "running": null, "waiting": { "reason": "CrashLoopBackOff" } },
        })
    )]);
    let unready = json!([but(container_status("app"), json!({ "ready": false }))]);
    let all = [
        why_not(json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } })),
        why_not(json!({ "status": { "phase": "Failed", "reason": "Evicted" } })),
        why_not(json!({ "status": { "phase": "Pending", "conditions": scheduling } })),
        why_not(
            json!({ "status": { "phase": "Pending", "containerStatuses": waiting("ImagePullBackOff", "Back-off pulling image \"x\"") } }),
        ),
        why_not(json!({ "status": { "containerStatuses": ended } })),
        why_not(
            json!({ "status": { "phase": "Pending", "initContainerStatuses": init, "containerStatuses": waiting("PodInitializing", "") } }),
        ),
        why_not(json!({ "status": { "containerStatuses": unready } })),
        why_not(json!({ "status": { "phase": "Pending", "containerStatuses": null } })),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_kubelets_probes_are_known_by_number() {
    let container = json!([{
        "name": "app",
        "ports": [{ "containerPort": 80, "name": "http" }, { "containerPort": 53, "protocol": "UDP" }],
        "livenessProbe": { "httpGet": { "port": "http" } },
        "readinessProbe": { "grpc": { "port": 9000 } },
        "startupProbe": { "httpGet": { "port": 1 } },
    }]);
    let it = judge(&parse(but(pod("web-1"), json!({ "spec": { "containers": container } }))), None).unwrap();
    assert_eq!((it.probe_ports, it.ports), (vec![80, 9000], vec![80]));
}

#[test]
fn a_mesh_is_known_by_its_containers() {
    let mesh_of = |names: &[&str]| judge(&parse(with_containers(names)), None).unwrap().mesh;
    assert_eq!(mesh_of(&["app"]), None);
    assert_eq!(mesh_of(&["app", "istio-proxy"]), Some(Mesh::Istio));
    assert_eq!(mesh_of(&["app", "istio-proxy", "istio-validation"]), Some(Mesh::IstioCni));
    assert_eq!(mesh_of(&["app", "linkerd-proxy"]), Some(Mesh::Linkerd));
    assert_eq!(mesh_of(&["app", "kuma-sidecar"]), Some(Mesh::Kuma));
    let ambient = json!({ "metadata": { "annotations": { "ambient.istio.io/redirection": "enabled" } } });
    assert_eq!(judge(&parse(but(pod("a"), ambient)), None).unwrap().mesh, Some(Mesh::IstioAmbient));
}
