//! What is listed of a namespace, against a scripted API server.

use serde_json::{Value, json};

use super::*;
use crate::fixture::{ApiServer, but, pod};

/// A workload with these containers, one replica of which is there.
fn workload(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "template": { "spec": { "containers": containers } } },
        "status": { "availableReplicas": 1, "readyReplicas": 1, "numberReady": 1, "active": 1 },
    })
}

async fn full() -> ApiServer {
    let server = ApiServer::start().await;
    let apps = |kind: &str| format!("/apis/apps/v1/namespaces/shop/{kind}");
    server.lists(
        &apps("deployments"),
        &[workload("web", &["app", "istio-proxy"]), workload("api", &["app", "worker"])],
    );
    server.lists(&apps("statefulsets"), &[workload("db", &["db"])]);
    server.lists(&apps("daemonsets"), &[workload("log", &["log"])]);
    server.lists(&apps("replicasets"), &[but(workload("web-5b", &["app"]), json!({ "status": null }))]);
    server.lists("/apis/batch/v1/namespaces/shop/jobs", &[workload("once", &["once"])]);
    // As before Kubernetes 1.21.
    server.lists("/apis/batch/v1beta1/namespaces/shop/cronjobs", &[json!({
        "metadata": { "name": "night" },
        "spec": { "jobTemplate": { "spec": { "template": { "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } } } } },
    })]);
    let pending = but(pod("web-2"), json!({ "status": { "phase": "Pending" } }));
    server.lists("/api/v1/namespaces/shop/pods", &[pending, pod("web-1")]);
    server.lists("/api/v1/namespaces/shop/services", &[workload("web", &[])]);
    server
}

fn lines(listed: &Listed) -> String {
    let line = |choice: &Choice| {
        format!("{}{}", choice.target, if choice.is_available { "" } else { " (not available)" })
    };
    listed.choices.iter().map(line).chain(listed.notes.clone()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn everything_is_listed_in_order() {
    let server = full().await;
    insta::assert_snapshot!(lines(&targets(&server.cluster().await, &[]).await.unwrap()));
}

#[tokio::test]
async fn only_wanted_kinds_are_asked_for() {
    let server = full().await;
    let cluster = server.cluster().await;
    let listed = targets(&cluster, &[Kind::Pod, Kind::Deployment]).await.unwrap();
    let all = "deployment/api\ndeployment/api/container/app\ndeployment/api/container/worker\ndeployment/web\npod/web-1\npod/web-2 (not available)";
    assert_eq!(lines(&listed), all);
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn what_may_not_be_listed_is_a_note_unless_it_is_all() {
    let server = full().await;
    server.forbids("GET", "/api/v1/namespaces/shop/services");
    let cluster = server.cluster().await;
    let listed = targets(&cluster, &[]).await.unwrap();
    assert_eq!(listed.notes, ["`ann` may not list services in namespace `shop`"]);
    let error = targets(&cluster, &[Kind::Service]).await.unwrap_err();
    assert_eq!(error.to_string(), "`ann` may not list services in namespace `shop`");
}

#[tokio::test]
async fn namespaces_are_listed_by_name() {
    let server = ApiServer::start().await;
    server.lists(
        "/api/v1/namespaces",
        &[json!({ "metadata": { "name": "shop" } }), json!({ "metadata": { "name": "bank" } })],
    );
    assert_eq!(namespaces(&server.cluster().await).await.unwrap(), ["shop", "bank"]);
}
