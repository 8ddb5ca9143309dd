//! What `verify-config` prints for editors.

use std::collections::BTreeMap;

use mirrord_config::{FileSource, Input, verify};
use serde_json::{Value, json};

fn ask(text: &str, may_lack_target: bool, with_settings: bool) -> Value {
    let input = Input {
        file: Some(FileSource { path: "x.json".into(), bytes: text.into() }),
        environment: BTreeMap::new(),
        flags: BTreeMap::new(),
        git_branch: &|| None,
        home: None,
        temp_dir: "/tmp".into(),
        make_key: &|| "0beef".to_owned(),
    };
    verify(&input, may_lack_target, with_settings)
}

/// Every kind of target after those that are none.
fn kinds(others: &[&str]) -> Value {
    let all = [
        "pid",
        "netns",
        "docker",
        "podman",
        "compose",
        "pod",
        "deployment",
        "rollout",
        "statefulset",
        "daemonset",
        "replicaset",
        "job",
        "cronjob",
        "service",
        "label",
    ];
    others.iter().chain(&all).copied().collect()
}

#[test]
fn a_target_of_a_cluster_is_shown_as_a_section_names_it() {
    let shown = |text| ask(text, false, false).pointer("/config/path").cloned();
    let expected = json!({ "stateful_set": "db", "container": null });
    assert_eq!(shown(r#"{"target": "statefulset/db"}"#), Some(expected));
    let expected = json!({ "labels": { "app": "web" }, "container": "c" });
    assert_eq!(shown(r#"{"target": "label/app=web/container/c"}"#), Some(expected));
}

#[test]
fn a_good_file_says_its_target_its_warnings_and_what_it_fits() {
    let expected = json!({
        "type": "Success",
        "config": { "path": { "docker": "web", "container": "app" }, "namespace": null },
        "warnings": ["x.json:1:53: `use_proxy` has no effect: the target is on this machine"],
        "compatible_target_types": kinds(&["targetless"]),
    });
    assert_eq!(ask(r#"{"target": "docker/web/container/app", "use_proxy": false}"#, false, false), expected);
}

#[test]
fn a_bad_file_says_everything_that_is_wrong() {
    let expected = json!({
        "type": "Fail",
        "errors": ["x.json:1:2: `targt` is not a known key; did you mean `target`?", "x.json:1:21: `key` expects a text, but is the number 1; write `\"1\"`, in quotes"],
    });
    assert_eq!(ask(r#"{"targt": 1, "key": 1}"#, false, false), expected);
}

#[test]
fn no_target_is_targetless_unless_one_is_chosen_later() {
    let path = |may_lack_target| ask("{}", may_lack_target, false).pointer("/config/path").cloned();
    assert_eq!(path(false), Some(json!("targetless")));
    assert_eq!(path(true), Some(Value::Null));
    let stealing = r#"{"feature": {"network": {"incoming": "steal"}}}"#;
    assert_eq!(ask(stealing, false, false)["type"], "Fail");
    let answer = ask(stealing, true, false);
    assert_eq!(answer["type"], "Success");
    assert_eq!(answer["compatible_target_types"], kinds(&[]));
}

#[test]
fn every_setting_is_shown_if_asked_for() {
    let answer = ask(r#"{"feature": {"fs": "write"}}"#, true, true);
    assert_eq!(answer.pointer("/resolved_config/feature/fs/mode"), Some(&json!("write")));
    assert_eq!(answer.pointer("/resolved_config/feature/network/dns/enabled"), Some(&json!(true)));
    assert_eq!(ask("{}", true, false).get("resolved_config"), None);
}
