//! Traffic that comes to the target through its Service.

use std::time::Duration;

use mirrord_tests::{cluster::Namespace, eventually::eventually};

use crate::{SHOP, guest::Served};

#[test]
fn a_stolen_request_is_answered_by_the_guest() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    shop.answers("http://shop/", "the shop itself");
    let served = Served::start(&shop, "deployment/shop", "steal");
    shop.answers("http://shop/bread", "the guest");
    assert!(served.guest.words().contains("asked for /bread"), "{}", served.guest.words());
    served.end(&shop);
    shop.answers("http://shop/", "the shop itself");
}

#[test]
fn a_mirrored_request_is_answered_by_the_target_and_heard_by_the_guest() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let mut served = Served::start(&shop, "deployment/shop", "mirror");
    eventually("a request that the guest hears", Duration::from_secs(10), || {
        assert!(shop.asked("http://shop/butter").starts_with("the shop itself"));
        served.guest.words().contains("asked for /butter").then_some(())
    });
    served.guest.says("asked for /butter");
    served.end(&shop);
    shop.answers("http://shop/", "the shop itself");
}

#[test]
fn all_pods_of_a_deployment_are_taken_also_those_that_come_later() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = shop.ready("app=client", 1);
    shop.does(&["scale", "deployment/shop", "--replicas=2"]);
    let _ready = shop.ready("app=shop", 2);
    let served = Served::start(&shop, "deployment/shop", "steal");
    let everybody_answers = |n_pods: usize, what: &str| {
        let pods = shop.ready("app=shop", n_pods);
        for pod in &pods {
            let path = "jsonpath={.status.podIP}";
            let address = shop.said(&["get", "pod", pod, "-o", path]);
            shop.answers(&format!("http://{address}:8080/"), what);
        }
    };
    everybody_answers(2, "the guest");
    shop.does(&["scale", "deployment/shop", "--replicas=3"]);
    everybody_answers(3, "the guest");
    shop.does(&["scale", "deployment/shop", "--replicas=1"]);
    everybody_answers(1, "the guest");
    served.end(&shop);
    everybody_answers(1, "the shop itself");
}
