//! Commands that ask a cluster, which a scripted API server plays.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Arc,
    thread,
};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::screen::Desk;

/// What it answers, by path.
type Script = Arc<Vec<(&'static str, u16, Value)>>;

/// Starts an API server, and writes the kubeconfig that names it. It ends with the story's process.
fn api_server(desk: &Desk, script: Vec<(&'static str, u16, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script::new(script);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let script = script.clone();
            thread::spawn(move || answer(stream.unwrap(), &script));
        }
    });
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{ "name": "here", "context": { "cluster": "c", "user": "u", "namespace": "shop" } }],
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "u", "user": { "token": "secret" } }],
    });
    desk.write("kubeconfig", &kubeconfig.to_string()).display().to_string()
}

fn answer(mut stream: TcpStream, script: &Script) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = first.split(' ').nth(1).unwrap().split('?').next().unwrap();
    let missing =
        json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "no" });
    let found = script.iter().find(|(known, ..)| *known == path);
    let (status, body) = found.map_or((404, missing), |(_, status, body)| (*status, body.clone()));
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes());
}

fn list(items: &Value) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items })
}

fn deployment(name: &str, n_ready: u32) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": name } },
                  "template": { "metadata": { "labels": { "app": name } },
                                "spec": { "containers": [{ "name": "main", "image": "x" }] } } },
        "status": { "replicas": 1, "readyReplicas": n_ready, "availableReplicas": n_ready },
    })
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "nodeName": "n", "containers": [{ "name": "main", "image": "x" }] },
        "status": { "phase": "Running", "containerStatuses": [
            { "name": "main", "ready": true, "started": true, "restartCount": 0, "image": "x", "imageID": "x",
              "containerID": "containerd://abc", "state": { "running": {} } }] },
    })
}

fn shop() -> Vec<(&'static str, u16, Value)> {
    vec![
        (
            "/apis/apps/v1/namespaces/shop/deployments",
            200,
            list(&json!([deployment("web", 1), deployment("idle", 0)])),
        ),
        ("/apis/apps/v1/namespaces/shop/statefulsets", 200, list(&json!([]))),
        ("/apis/apps/v1/namespaces/shop/daemonsets", 200, list(&json!([]))),
        ("/apis/apps/v1/namespaces/shop/replicasets", 200, list(&json!([]))),
        ("/apis/batch/v1/namespaces/shop/jobs", 200, list(&json!([]))),
        ("/apis/batch/v1/namespaces/shop/cronjobs", 200, list(&json!([]))),
        ("/api/v1/namespaces/shop/services", 200, list(&json!([]))),
        ("/api/v1/namespaces/shop/pods", 200, list(&json!([pod("web-1")]))),
        (
            "/api/v1/namespaces",
            200,
            list(&json!([{ "metadata": { "name": "lab" } }, { "metadata": { "name": "shop" } }])),
        ),
    ]
}

fn with(kubeconfig: &str, mut command: Command) -> Command {
    command.env("KUBECONFIG", kubeconfig);
    command
}

#[test]
fn targets_are_listed_as_editors_read_them() {
    let desk = Desk::new();
    let kubeconfig = api_server(&desk, shop());
    let ls = |words: &[&str]| desk.seen(&with(&kubeconfig, desk.mirrord(words)).output().unwrap());
    assert_snapshot!("ls", ls(&["ls"]));
    assert_snapshot!("ls_pods", ls(&["ls", "-o", "json", "-t", "pod"]));
    assert_snapshot!("ls_of_no_kind", ls(&["ls", "-t", "pods"]));
    let mut rich = with(&kubeconfig, desk.mirrord(&["ls"]));
    rich.env("MIRRORD_LS_RICH_OUTPUT", "true")
        .env("MIRRORD_LS_TARGET_TYPES", r#"["deployment", "targetless"]"#);
    assert_snapshot!("ls_rich", desk.seen(&rich.output().unwrap()));
    let mut wrong = with(&kubeconfig, desk.mirrord(&["ls"]));
    assert_snapshot!(
        "ls_of_no_list",
        desk.seen(&wrong.env("MIRRORD_LS_TARGET_TYPES", "pod").output().unwrap())
    );
    assert_snapshot!("ls_help", ls(&["ls", "--help"]));
}

#[test]
fn a_cluster_that_cannot_be_asked_is_told_in_json() {
    let desk = Desk::new();
    assert_snapshot!("ls_without_kubeconfig", desk.run(&["ls"]));
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401,
        "message": "Unauthorized",
    });
    let script = shop().into_iter().map(|(path, ..)| (path, 401, status.clone()));
    let kubeconfig = api_server(&desk, script.collect());
    let output = with(&kubeconfig, desk.mirrord(&["ls", "-t", "pod"])).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(error["help"].as_str().unwrap().contains("kubectl"), "{error}");
}

const WITH_A_PLUGIN: &str = "\
# kept as it is
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: c, user: u}}
clusters:
- {name: c, cluster: {server: 'http://127.0.0.1:1'}}
users:
- name: u
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: our-login   # of the company
      interactiveMode: Never
";

#[test]
fn a_kubeconfig_is_repaired_and_keeps_everything_else() {
    let desk = Desk::new();
    let kubeconfig = desk.write("kubeconfig", WITH_A_PLUGIN);
    let plugin = desk.program("our-login", "exit 1");
    let fix = ["fix", "kubeconfig", "--kubeconfig", "kubeconfig"];
    assert_snapshot!("fix_dry_run", desk.run(&[&fix[..], &["--dry-run"]].concat()));
    assert_eq!(std::fs::read_to_string(&kubeconfig).unwrap(), WITH_A_PLUGIN);
    assert_snapshot!("fix", desk.run(&fix));
    let path = std::fs::canonicalize(plugin).unwrap().display().to_string();
    let wanted = WITH_A_PLUGIN.replace("our-login", &path);
    assert_eq!(std::fs::read_to_string(&kubeconfig).unwrap(), wanted);
    assert_snapshot!("fix_again", desk.run(&fix));
    assert_snapshot!("fix_of_nothing", desk.run(&["fix", "kubeconfig", "--kubeconfig", "none"]));
    assert_snapshot!("fix_help", desk.run(&["fix", "kubeconfig", "--help"]));
}
