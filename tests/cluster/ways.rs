//! Ways to the API server: one that ends and comes back, one that is old, and the one from within the cluster.

use mirrord_tests::{
    cluster::{ApiServer, Cluster, Namespace, OldWay, agent_image},
    ground::skip,
    programs::{built, mirrord, system},
    running::Running,
    transcript::Transcript,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{ECHO, SHOP, ends::COUNTER, guest::python_with};

#[test]
fn an_api_server_that_is_started_anew_loses_no_stream() {
    let Some(shop) = Namespace::with(&format!("{SHOP}---\n{ECHO}")) else { return };
    let cluster = Cluster::find().unwrap();
    let Some(mut server) = ApiServer::start(cluster) else {
        return skip("the API server does not run on this machine");
    };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=counter", 1));
    let session = shop.session_by("deployment/shop", &json!({}), Some(&server.url()));
    let mut guest = Running::start(&mut python_with(&session, COUNTER));
    guest.says("counted 40\n");
    server.kill();
    server.start_again(cluster);
    let words = guest.words();
    let last = words.lines().filter_map(|line| line.strip_prefix("counted ")?.parse::<u32>().ok()).max();
    guest.says(&format!("counted {}\n", last.unwrap() + 40));
    guest.signal(Signal::SIGTERM);
    guest.end();
    shop.assert_clean(&[&session]);
}

#[test]
fn where_no_websocket_gets_through_kubectl_carries_the_session() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let way = OldWay::start(shop.session("targetless", &json!({})).kubectl());
    let session = shop.session_by("deployment/shop", &json!({}), Some(&way.url()));
    let script = "cat /scratch/journal; sha256sum < /scratch/large";
    let told = Transcript::of(session.command(system("bash").unwrap()).args(["-c", script]));
    let inside = shop.inside(&pod, &["sh", "-c", script]);
    assert_eq!(told.stdout, inside.stdout, "{told:?}");
    assert!(way.n_refused() > 0, "a WebSocket was never asked for");
    shop.assert_clean(&[&session]);
}

/// A pod with this machine's programs, whose account may what a developer may.
const DESK: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: desk, labels: {app: desk}}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
    - {name: usr, hostPath: {path: /usr}}
    - {name: lib, hostPath: {path: /lib}}
    - {name: lib64, hostPath: {path: /lib64}}
    - {name: built, hostPath: {path: BUILT}}
  containers:
    - name: desk
      image: mirrord-workload:1
      imagePullPolicy: IfNotPresent
      command: [sleep, '3600']
      volumeMounts:
        - {name: usr, mountPath: /usr, readOnly: true}
        - {name: lib, mountPath: /lib, readOnly: true}
        - {name: lib64, mountPath: /lib64, readOnly: true}
        - {name: built, mountPath: /built, readOnly: true}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: desk}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: mirrord}
subjects: [{kind: ServiceAccount, name: default}]
";

#[test]
fn within_a_pod_its_account_is_enough() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    if !shop.is_here() {
        return skip("the cluster's node is another machine, which has no `mirrord`");
    }
    let program = mirrord();
    let folder = program.parent().map_or_else(built, ToOwned::to_owned);
    shop.apply(&DESK.replace("BUILT", &folder.display().to_string()));
    let _ready = shop.ready("app=desk", 1);
    let configuration = json!({
        "target": "deployment/shop",
        "agent": { "image": agent_image(), "image_pull_policy": "IfNotPresent" },
    });
    let script = format!(
        "echo '{configuration}' > /tmp/mirrord.json
        HOME=/tmp MIRRORD_PROGRESS_MODE=off /built/{} exec -f /tmp/mirrord.json -- /usr/bin/cat /scratch/journal",
        program.file_name().unwrap().display()
    );
    let told = shop.inside("desk", &["sh", "-c", &script]);
    assert_eq!(told.stdout, format!("opened by {pod}\n"), "{told:?}");
    shop.assert_clean(&[]);
}
