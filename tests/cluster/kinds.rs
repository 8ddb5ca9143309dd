//! Each kind of target, found by a developer who is no administrator.

use std::time::Duration;

use mirrord_tests::{cluster::Namespace, eventually::eventually, programs::system, transcript::Transcript};
use serde_json::json;

/// What a target's pod says of itself, where its variable `WHO` is not its kind.
const KINDS: &[(&str, &str)] = &[
    ("pod/alone", "pod"),
    ("pod/alone/container/second", "second"),
    ("deployment/a-deployment", "deployment"),
    ("replicaset/a-replicaset", "replicaset"),
    ("statefulset/a-statefulset", "statefulset"),
    ("daemonset/a-daemonset", "daemonset"),
    ("job/a-job", "job"),
    ("cronjob/a-cronjob", "cronjob"),
    ("rollout/a-rollout", "rollout"),
    ("service/a-service", "deployment"),
    ("label/who=pod,tier=back", "pod"),
];

/// A `CronJob`, and the Job that it would make if its time came.
fn cron_job(shop: &Namespace) {
    let (cron, job) = include_str!("cronjob.yaml").split_once("---").unwrap();
    let kinds = shop.said(&["get", "--raw", "/apis/batch/v1"]);
    let is_old = !kinds.contains("cronjobs");
    shop.apply(&if is_old { cron.to_owned() } else { cron.replace("batch/v1beta1", "batch/v1") });
    let uid = shop.said(&["get", "cronjob", "a-cronjob", "-o", "jsonpath={.metadata.uid}"]);
    shop.apply(&job.replace("UID", &uid));
}

#[test]
fn a_target_of_each_kind_is_found() {
    let Some(shop) = Namespace::with(include_str!("kinds.yaml")) else { return };
    shop.apply(include_str!("rollout.yaml"));
    cron_job(&shop);
    eventually("the kind of Argo", Duration::from_secs(20), || {
        let told = Transcript::of(shop.kubectl().args(["get", "rollouts.argoproj.io"]));
        (told.code == Some(0)).then_some(())
    });
    shop.apply(include_str!("a-rollout.yaml"));
    for who in ["pod", "deployment", "replicaset", "statefulset", "daemonset", "job", "cronjob", "rollout"] {
        let _ready = shop.ready(&format!("who={who}"), 1);
    }
    let sessions: Vec<_> =
        KINDS.iter().map(|(target, who)| (*target, *who, shop.session(target, &json!({})))).collect();
    // Three at a time, as a team would.
    std::thread::scope(|scope| {
        for part in sessions.chunks(sessions.len().div_ceil(3)) {
            scope.spawn(move || {
                for (target, who, session) in part {
                    let told = Transcript::of(session.command(system("printenv").unwrap()).args(["WHO"]));
                    assert_eq!(told.stdout.trim(), *who, "{target}: {told:?}");
                }
            });
        }
    });
    shop.assert_clean(&sessions.iter().map(|(.., session)| session).collect::<Vec<_>>());
}

#[test]
fn a_target_that_is_not_there_is_told_with_those_that_are_like_it() {
    let Some(shop) = Namespace::with(include_str!("kinds.yaml")) else { return };
    let session = shop.session("deployment/a-deploiment", &json!({}));
    let told = Transcript::of(&mut session.command(system("true").unwrap()));
    assert_ne!(told.code, Some(0), "{told:?}");
    assert!(told.stderr.contains("a-deploiment") && told.stderr.contains("a-deployment"), "{told:?}");
    shop.assert_clean(&[&session]);
}
