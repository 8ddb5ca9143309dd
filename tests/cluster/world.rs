//! What a pod is given: its variables, its mounted files, its names.

use mirrord_tests::{cluster::Namespace, programs::system, transcript::Transcript};
use serde_json::json;

use crate::SHOP;

#[test]
fn the_guest_has_the_variables_of_the_pod_wherever_they_come_from() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("deployment/shop", &json!({}));
    let told = Transcript::of(&mut session.command(system("env").unwrap()));
    let inside = shop.inside(&pod, &["env"]);
    for name in ["PLAIN", "GREETING", "PASSWORD", "POD_NAME", "POD_ADDRESS", "SHOP_SERVICE_HOST"] {
        let of = |told: &Transcript| {
            let line = told.stdout.lines().find(|line| line.starts_with(&format!("{name}=")));
            line.map(str::to_owned)
        };
        assert!(of(&inside).is_some(), "the pod has no {name}: {inside:?}");
        assert_eq!(of(&told), of(&inside), "{told:?}");
    }
    shop.assert_clean(&[&session]);
}

#[test]
fn the_guest_reads_what_is_mounted_in_the_pod() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("deployment/shop", &json!({ "feature": { "fs": "read" } }));
    let script = "cat /shop/settings/menu.txt /shop/secrets/key.pem /scratch/journal /shop/tokens/labels
        cat /shop/tokens/token; echo; ls /shop /shop/settings; sha256sum /scratch/large; wc -c < /scratch/large";
    let told = Transcript::of(session.command(system("bash").unwrap()).args(["-c", script]));
    let inside = shop.inside(&pod, &["sh", "-c", script]);
    assert!(told.stdout.contains("bread") && told.stdout.contains("the shop's key"), "{told:?}");
    assert_eq!(told.stdout, inside.stdout, "{told:?}");
    shop.assert_clean(&[&session]);
}

#[test]
fn the_guest_writes_where_the_pod_can_read() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("deployment/shop", &json!({ "feature": { "fs": "write" } }));
    let script = "mkdir /scratch/new && echo bread > /scratch/new/list && echo butter >> /scratch/new/list";
    let told = Transcript::of(session.command(system("bash").unwrap()).args(["-c", script]));
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(shop.inside(&pod, &["cat", "/scratch/new/list"]).stdout, "bread\nbutter\n");
    shop.assert_clean(&[&session]);
}

#[test]
fn the_guest_knows_services_by_all_their_names() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = shop.ready("app=shop", 1);
    let session = shop.session("deployment/shop", &json!({}));
    let address = shop.said(&["get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}"]);
    let name = shop.name();
    let names =
        format!("shop shop.{name} shop.{name}.svc shop.{name}.svc.cluster.local kubernetes.default.svc");
    let script =
        format!("for it in {names}; do getent ahostsv4 $it | head -1; done; getent hosts nobody.{name}");
    let told = Transcript::of(session.command(system("bash").unwrap()).args(["-c", &script]));
    let found: Vec<&str> = told.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(found.len(), 5, "{told:?}");
    assert!(found[..4].iter().all(|it| *it == address), "{address}: {told:?}");
    assert_eq!(told.code, Some(2), "there is no such name: {told:?}");
    shop.assert_clean(&[&session]);
}
