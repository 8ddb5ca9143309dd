//! Pods that come and go, before a scripted API server.

use futures::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{ApiServer, but, pod};

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn event(kind: &str, object: &Value) -> String {
    let object = but(object.clone(), json!({ "metadata": { "resourceVersion": "2" } }));
    format!("{}\n", json!({ "type": kind, "object": object }))
}

#[tokio::test]
async fn each_change_of_the_ready_pods_is_told_once_and_whole() {
    let server = ApiServer::start().await;
    server.lists(PODS, &[pod("a")]).says(PODS, String::new());
    let cluster = server.cluster().await;
    let target: Target = "label/app=web".parse().unwrap();
    let mut sets = std::pin::pin!(pods(&cluster, &target));
    let mut next = async || {
        let set = sets.next().await.unwrap();
        set.into_iter().map(|pod| pod.name).collect::<Vec<_>>()
    };
    assert_eq!(next().await, ["a"]);
    server.says(PODS, event("ADDED", &pod("b")));
    assert_eq!(next().await, ["a", "b"]);
    // Not ready, and then gone, is one change.
    let ending = but(pod("a"), json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:01:00Z" } }));
    server.says(PODS, event("MODIFIED", &ending)).says(PODS, event("DELETED", &pod("a")));
    assert_eq!(next().await, ["b"]);
    server.says(PODS, event("DELETED", &pod("b")));
    assert!(next().await.is_empty());
}

#[tokio::test]
async fn a_pod_of_the_same_name_is_another_one() {
    let server = ApiServer::start().await;
    server.lists(PODS, &[pod("web")]).says(PODS, String::new());
    let cluster = server.cluster().await;
    let target: Target = "pod/web".parse().unwrap();
    let mut sets = std::pin::pin!(pods(&cluster, &target));
    assert_eq!(sets.next().await.unwrap().first().unwrap().uid, "uid-of-web");
    let anew = but(pod("web"), json!({ "metadata": { "uid": "another" } }));
    server.says(PODS, event("DELETED", &pod("web"))).says(PODS, event("ADDED", &anew));
    assert!(sets.next().await.unwrap().is_empty());
    assert_eq!(sets.next().await.unwrap().first().unwrap().uid, "another");
}
