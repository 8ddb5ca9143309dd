//! Agents in the target's own pod.

use serde_json::json;

use super::*;

const LIST: &str = "/api/v1/namespaces/shop/pods/web/ephemeralcontainers";
const WEB_LOG: &str = "/api/v1/namespaces/shop/pods/web/log";

fn options() -> AgentOptions {
    AgentOptions { ephemeral: true, ..super::options() }
}

/// The name that the last request of this verb gave to the container.
fn name_in(server: &ApiServer, verb: &str, list: &str) -> Option<String> {
    let asked = server.asked();
    let body = &asked.iter().rfind(|asked| asked.line.starts_with(verb))?.body;
    let newest = body.pointer(list)?.as_array()?.last()?;
    Some(newest.get("name")?.as_str()?.to_owned())
}

/// Launches, and lets the container run as soon as it is in the list.
async fn launched(server: &ApiServer, verb: &str, list: &str) -> (AgentPod, Vec<Step>) {
    server
        .says(PODS, String::new())
        .says(WEB_LOG, READY.replace("port=61337 key=none", "port=4242 key=cd34"));
    let cluster = server.cluster().await;
    let (options, target) = (options(), target());
    let mut steps = Vec::new();
    let kubelet = async {
        let name = loop {
            match name_in(server, verb, list) {
                Some(name) => break name,
                None => tokio::task::yield_now().await,
            }
        };
        server.shows(PODS, &json!({
            "metadata": { "name": "web" },
            "spec": { "containers": [] },
            "status": { "phase": "Running", "ephemeralContainerStatuses": [
                { "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": { "running": {} } }
            ]},
        }));
    };
    let launching =
        launch(&cluster, &options, Some(&target), Some("ab12".into()), "ann", |step| steps.push(step));
    let (agent, ()) = futures::join!(launching, kubelet);
    (agent.unwrap(), steps)
}

#[tokio::test]
async fn the_pods_list_is_patched_and_the_key_read_from_the_log() {
    let server = ApiServer::start().await;
    server.answers("PATCH", LIST, 200, json!({ "kind": "Pod", "metadata": { "name": "web" } }));
    let (agent, steps) = launched(&server, "PATCH", "/spec/ephemeralContainers").await;
    assert_eq!((agent.port, agent.key.as_deref(), agent.job), (4242, Some("cd34"), None));
    assert_eq!(agent.pod, "web");
    let patch = server.asked().into_iter().find(|asked| asked.line.starts_with("PATCH")).unwrap().body;
    assert_eq!(patch.pointer("/spec/ephemeralContainers/0/targetContainerName"), Some(&json!("app")));
    assert!(patch.to_string().contains(r#""--pinned","ab12""#));
    assert!(!steps.iter().any(|step| matches!(step, Step::Warning(_))), "{steps:?}");
}

#[tokio::test]
async fn an_old_cluster_gets_its_own_kind_of_list_and_no_privileges() {
    let server = ApiServer::start().await;
    let list = json!({ "kind": "EphemeralContainers", "metadata": { "name": "web" }, "ephemeralContainers": [{ "name": "debug" }] });
    server.answers("PATCH", LIST, 200, list.clone()).has(LIST, list.clone()).answers("PUT", LIST, 200, list);
    let (_, steps) = launched(&server, "PUT", "/ephemeralContainers").await;
    let put = server.asked().into_iter().find(|asked| asked.line.starts_with("PUT")).unwrap().body;
    assert_eq!(put.pointer("/ephemeralContainers/0/name"), Some(&json!("debug")));
    assert_eq!(put.pointer("/ephemeralContainers/1/securityContext"), None);
    assert!(steps.iter().any(|step| matches!(step, Step::Warning(_))), "{steps:?}");
}

#[tokio::test]
async fn an_old_cluster_needs_no_right_to_patch() {
    let server = ApiServer::start().await;
    let list = json!({ "kind": "EphemeralContainers", "metadata": { "name": "web" } });
    server.forbids("PATCH", LIST).has(LIST, list.clone()).answers("PUT", LIST, 200, list);
    let (agent, _) = launched(&server, "PUT", "/ephemeralContainers").await;
    assert_eq!(agent.port, 4242);
}

#[tokio::test]
async fn whoever_may_not_patch_is_told_the_rule() {
    let server = ApiServer::start().await;
    server.forbids("PATCH", LIST);
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "`ann` may not patch pods/ephemeralcontainers `web` in namespace `shop`");
}

#[tokio::test]
async fn whoever_may_not_update_an_old_list_is_told_the_rule() {
    let server = ApiServer::start().await;
    let list = json!({ "kind": "EphemeralContainers", "metadata": { "name": "web" } });
    server.answers("PATCH", LIST, 200, list.clone()).has(LIST, list).forbids("PUT", LIST);
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "`ann` may not update pods/ephemeralcontainers `web` in namespace `shop`");
}

#[tokio::test]
async fn a_cluster_without_ephemeral_containers_says_so() {
    let server = ApiServer::start().await;
    let error = error(&server, &options()).await;
    assert_eq!(error.to_string(), "this cluster has no ephemeral containers");
    assert!(error.hint().unwrap().contains("1.23"));
}
