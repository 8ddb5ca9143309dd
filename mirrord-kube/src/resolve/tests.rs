//! Targets of every kind, found or not, against a scripted API server.

use serde_json::{Value, json};

use super::*;
use crate::fixture::{ApiServer, but, container_status, pod};

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

async fn found(server: &ApiServer, text: &str) -> Found {
    find(&server.cluster().await, &target(text)).await.unwrap()
}

/// What the developer reads.
async fn said(server: &ApiServer, text: &str) -> String {
    let error = find(&server.cluster().await, &target(text)).await.unwrap_err();
    format!("error: {error}\nhint: {}", error.hint().unwrap_or_default())
}

/// A workload that selects `app=web`.
fn workload(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "uid": format!("uid-of-{name}") },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "web" } }, "template": {}, "serviceName": "" },
    })
}

fn owned_by(pod: Value, kind: &str, name: &str) -> Value {
    let owner = json!([{ "apiVersion": "v1", "kind": kind, "name": name, "uid": format!("uid-of-{name}"), "controller": true }]);
    but(pod, json!({ "metadata": { "ownerReferences": owner } }))
}

/// A namespace without anything.
async fn empty() -> ApiServer {
    let server = ApiServer::start().await;
    server.has("/api/v1/namespaces/shop", json!({ "metadata": { "name": "shop" } }));
    for kind in ["deployments", "statefulsets", "daemonsets", "replicasets"] {
        server.lists(&format!("/apis/apps/v1/namespaces/shop/{kind}"), &[]);
    }
    for kind in ["jobs", "cronjobs"] {
        server.lists(&format!("/apis/batch/v1/namespaces/shop/{kind}"), &[]);
    }
    server.lists(PODS, &[]).lists("/api/v1/namespaces/shop/services", &[]);
    server
}

#[tokio::test]
async fn a_pod_takes_one_round_trip() {
    let server = ApiServer::start().await;
    server.has(&format!("{PODS}/web-1"), pod("web-1"));
    let found = found(&server, "pod/web-1").await;
    assert_eq!(found.representative.container_id, "id-of-app");
    assert!(found.others.is_empty() && found.notes.is_empty());
    assert_eq!(server.lines(), ["GET /api/v1/namespaces/shop/pods/web-1"]);
}

#[tokio::test]
async fn labels_take_one_round_trip() {
    let server = ApiServer::start().await;
    server.lists(PODS, &[pod("web-1"), pod("web-2")]);
    let found = found(&server, "label/app=web,tier=front").await;
    assert_eq!(found.others.len(), 1);
    assert_eq!(server.lines(), ["GET /api/v1/namespaces/shop/pods?&labelSelector=app%3Dweb%2Ctier%3Dfront"]);
}

#[tokio::test]
async fn a_workload_takes_two_round_trips() {
    let owner = |kind: &str| owned_by(pod("web-1"), kind, "web");
    for (kind, path, pod) in [
        ("deployment", "/apis/apps/v1/namespaces/shop/deployments/web", pod("web-1")),
        ("statefulset", "/apis/apps/v1/namespaces/shop/statefulsets/web", owner("StatefulSet")),
        ("daemonset", "/apis/apps/v1/namespaces/shop/daemonsets/web", owner("DaemonSet")),
        ("replicaset", "/apis/apps/v1/namespaces/shop/replicasets/web", owner("ReplicaSet")),
        ("job", "/apis/batch/v1/namespaces/shop/jobs/web", owner("Job")),
        ("rollout", "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web", owner("ReplicaSet")),
    ] {
        let server = ApiServer::start().await;
        server.has(path, workload("web")).lists(PODS, &[pod]);
        assert_eq!(found(&server, &format!("{kind}/web")).await.representative.name, "web-1");
        let list = "GET /api/v1/namespaces/shop/pods?&labelSelector=app%3Dweb";
        assert_eq!(server.lines(), [format!("GET {path}").as_str(), list], "{kind}");
    }
}

#[tokio::test]
async fn a_service_is_the_pods_that_it_selects() {
    let server = ApiServer::start().await;
    let service = json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" } } });
    server.has("/api/v1/namespaces/shop/services/web", service).lists(PODS, &[pod("web-1")]);
    assert_eq!(found(&server, "service/web").await.representative.name, "web-1");
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn a_rollout_may_refer_to_a_workload() {
    let server = ApiServer::start().await;
    let reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "base" });
    let rollout = json!({ "metadata": { "name": "web" }, "spec": { "workloadRef": reference } });
    server
        .has("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web", rollout)
        .has("/apis/apps/v1/namespaces/shop/deployments/base", workload("base"))
        .lists(PODS, &[pod("web-1")]);
    assert_eq!(found(&server, "rollout/web").await.representative.name, "web-1");
}

#[tokio::test]
async fn a_cron_job_is_its_newest_job_that_runs() {
    let job = |name: &str, time: &str, active: u32| {
        let times = json!({ "metadata": { "creationTimestamp": time }, "status": { "active": active } });
        let mut job = owned_by(but(workload(name), times), "CronJob", "night");
        job["spec"]["selector"] = json!({ "matchLabels": { "job-name": name } });
        job
    };
    let server = ApiServer::start().await;
    let jobs = [
        job("night-1", "2026-01-01T00:00:00Z", 1),
        job("night-2", "2026-01-02T00:00:00Z", 1),
        job("night-3", "2026-01-03T00:00:00Z", 0),
    ];
    let others = owned_by(workload("day-1"), "CronJob", "day");
    server.lists("/apis/batch/v1/namespaces/shop/jobs", &[&jobs[..], &[others]].concat());
    server.lists(
        PODS,
        &[owned_by(pod("night-2-x"), "Job", "night-2"), owned_by(pod("night-1-x"), "Job", "night-1")],
    );
    let found = found(&server, "cronjob/night").await;
    assert_eq!(found.representative.name, "night-2-x");
    assert!(found.others.is_empty());
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn the_oldest_ready_pod_stands_for_all() {
    let at = |name: &str, time: &str| but(pod(name), json!({ "metadata": { "creationTimestamp": time } }));
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let server = ApiServer::start().await;
    server.lists(
        PODS,
        &[
            at("d", "2026-01-04T00:00:00Z"),
            at("c", "2026-01-03T00:00:00Z"),
            but(at("b", "2026-01-02T00:00:00Z"), unready),
            but(at("a", "2026-01-01T00:00:00Z"), deleted),
        ],
    );
    let found = found(&server, "label/app=web").await;
    assert_eq!(found.representative.name, "c");
    let others: Vec<&str> = found.others.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(others, ["d", "b"]);
}

#[tokio::test]
async fn a_guess_among_containers_is_told_with_the_way_to_choose() {
    let server = ApiServer::start().await;
    let two = json!({
        "spec": { "containers": [{ "name": "app" }, { "name": "worker" }] },
        "status": { "containerStatuses": [container_status("app"), container_status("worker")] },
    });
    server.lists(PODS, &[but(pod("web-1"), two)]);
    let guessed = found(&server, "label/app=web").await;
    insta::assert_snapshot!(guessed.notes.join("\n"));
    assert!(found(&server, "label/app=web/container/worker").await.notes.is_empty());
    insta::assert_snapshot!(said(&server, "label/app=web/container/wroker").await);
}

#[tokio::test]
async fn a_pod_of_a_mesh_or_of_telepresence_is_warned_of() {
    let server = ApiServer::start().await;
    let beside = |name: &str| {
        json!({
            "spec": { "containers": [{ "name": "app" }, { "name": name }] },
            "status": { "containerStatuses": [container_status("app"), container_status(name)] },
        })
    };
    let ambient = json!({ "metadata": { "annotations": { "ambient.istio.io/redirection": "enabled" } } });
    let mut notes = Vec::new();
    for changes in [beside("linkerd-proxy"), beside("traffic-agent"), ambient] {
        server.has(&format!("{PODS}/web-1"), but(pod("web-1"), changes));
        notes.extend(found(&server, "pod/web-1").await.notes);
    }
    insta::assert_snapshot!(notes.join("\n"));
}

#[tokio::test]
async fn a_name_that_is_nearly_right_is_told() {
    let server = empty().await;
    server.lists("/apis/apps/v1/namespaces/shop/deployments", &[workload("web"), workload("database")]);
    server.lists(PODS, &[pod("web-5b9f-x2x")]);
    insta::assert_snapshot!(said(&server, "deployment/wbe").await);
    insta::assert_snapshot!(said(&server, "pod/web").await);
}

#[tokio::test]
async fn a_cluster_without_rollouts_says_so() {
    insta::assert_snapshot!(said(&empty().await, "rollout/web").await);
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_told_with_what_was_meant() {
    let server = ApiServer::start().await;
    server.lists("/api/v1/namespaces", &[json!({ "metadata": { "name": "shops" } })]);
    server.lists(PODS, &[]);
    insta::assert_snapshot!(said(&server, "pod/web").await);
    assert!(said(&server, "label/app=web").await.contains("there is no namespace `shop`"));
}

#[tokio::test]
async fn a_workload_scaled_to_nothing_says_how_to_scale_it() {
    let server = empty().await;
    let none = but(workload("web"), json!({ "spec": { "replicas": 0 } }));
    server.has("/apis/apps/v1/namespaces/shop/deployments/web", none);
    insta::assert_snapshot!(said(&server, "deployment/web").await);
}

#[tokio::test]
async fn a_deployment_whose_pods_are_refused_quotes_the_refusal() {
    let server = empty().await;
    let conditions =
        json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small" }]);
    let it = but(workload("web"), json!({ "status": { "conditions": conditions } }));
    server.has("/apis/apps/v1/namespaces/shop/deployments/web", it);
    insta::assert_snapshot!(said(&server, "deployment/web").await);
}

#[tokio::test]
async fn pods_that_are_not_ready_are_told_with_their_reasons() {
    let server = empty().await;
    let image = json!([{ "name": "app", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": { "waiting": { "reason": "ErrImagePull", "message": "no such image" } } }]);
    let pending =
        |name| but(pod(name), json!({ "status": { "phase": "Pending", "containerStatuses": image } }));
    server.lists(PODS, &[pending("a"), pending("b"), pending("c"), pending("d")]);
    insta::assert_snapshot!(said(&server, "label/app=web").await);
}

#[tokio::test]
async fn labels_that_no_pod_has_are_quoted() {
    insta::assert_snapshot!(said(&empty().await, "label/app=wbe").await);
}

#[tokio::test]
async fn a_service_without_a_selector_is_no_target() {
    let server = empty().await;
    server.has("/api/v1/namespaces/shop/services/out", json!({ "metadata": { "name": "out" }, "spec": {} }));
    insta::assert_snapshot!(said(&server, "service/out").await);
}

#[tokio::test]
async fn a_cron_job_that_has_not_begun_says_how_to_begin_it() {
    let server = empty().await;
    server.has(
        "/apis/batch/v1beta1/namespaces/shop/cronjobs/night",
        json!({ "metadata": { "name": "night" } }),
    );
    insta::assert_snapshot!(said(&server, "cronjob/night").await);
}

#[tokio::test]
async fn a_runtime_that_no_agent_knows_is_named() {
    let server = empty().await;
    let status = but(container_status("app"), json!({ "containerID": "rkt://1" }));
    let it = but(pod("web-1"), json!({ "status": { "containerStatuses": [status] } }));
    server.has(&format!("{PODS}/web-1"), it);
    insta::assert_snapshot!(said(&server, "pod/web-1").await);
}

#[tokio::test]
async fn each_right_that_is_missing_is_named() {
    for (text, path) in [
        ("pod/web", format!("{PODS}/web")),
        ("label/a=b", PODS.to_owned()),
        ("deployment/web", "/apis/apps/v1/namespaces/shop/deployments/web".to_owned()),
        ("rollout/web", "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web".to_owned()),
        ("statefulset/web", "/apis/apps/v1/namespaces/shop/statefulsets/web".to_owned()),
        ("daemonset/web", "/apis/apps/v1/namespaces/shop/daemonsets/web".to_owned()),
        ("replicaset/web", "/apis/apps/v1/namespaces/shop/replicasets/web".to_owned()),
        ("job/web", "/apis/batch/v1/namespaces/shop/jobs/web".to_owned()),
        ("cronjob/web", "/apis/batch/v1/namespaces/shop/jobs".to_owned()),
        ("service/web", "/api/v1/namespaces/shop/services/web".to_owned()),
    ] {
        let server = empty().await;
        server.forbids("GET", &path);
        let words = said(&server, text).await;
        assert!(words.contains("`ann` may not ") && words.contains("apiGroups"), "{text}: {words}");
    }
}

#[tokio::test]
async fn what_is_on_this_machine_is_not_looked_for_in_a_cluster() {
    let server = ApiServer::start().await;
    assert!(said(&server, "docker/web").await.starts_with("error: `docker/web` is not in a cluster"));
    assert!(said(&server, "targetless").await.starts_with("error: `targetless` is not in a cluster"));
}
