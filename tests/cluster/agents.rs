//! How an agent comes to stand in a cluster: as a Job, as a container of the target's pod, alone, or shared.

use mirrord_tests::{cluster::Namespace, programs::system, transcript::Transcript};
use serde_json::json;

use crate::{
    SHOP,
    guest::{Served, python_with},
};

#[test]
fn an_ephemeral_agent_serves_from_within_the_pod() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("deployment/shop", &json!({ "agent": { "ephemeral": true } }));
    let script = r"echo $POD_NAME; cat /scratch/journal
        exec 3<>/dev/tcp/shop/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3";
    let told = Transcript::of(session.command(system("bash").unwrap()).args(["-c", script]));
    assert!(told.stdout.starts_with(&format!("{pod}\nopened by {pod}\n")), "{told:?}");
    assert!(told.stdout.ends_with(&format!("the shop itself, {pod}\n")), "{told:?}");
    let containers = "jsonpath={.spec.ephemeralContainers[*].image}";
    assert!(shop.said(&["get", "pod", &pod, "-o", containers]).contains("mirrord-agent"));
    shop.assert_clean(&[&session]);
}

#[test]
fn without_a_target_names_and_connections_are_the_clusters() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("targetless", &json!({}));
    let text = "
import urllib.request
print(urllib.request.urlopen('http://shop/', timeout=10).read().decode())
";
    let told = Transcript::of(&mut python_with(&session, text));
    assert!(told.stdout.contains(&format!("the shop itself, {pod}")), "{told:?}");
    shop.assert_clean(&[&session]);
}

#[test]
fn two_sessions_with_one_pod_share_its_agent() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let served = Served::start(&shop, "deployment/shop", "steal");
    let second = shop.session("deployment/shop", &json!({}));
    let told = Transcript::of(second.command(system("cat").unwrap()).arg("/shop/settings/menu.txt"));
    assert_eq!(told.stdout, "bread\nbutter\n", "{told:?}");
    let agents = shop.said(&["get", "pods", "-l", "app=mirrord", "-o", "name"]);
    assert_eq!(agents.lines().count(), 1, "{agents}");
    shop.answers("http://shop/", "the guest");
    served.end(&shop);
    shop.assert_clean(&[&second]);
}
