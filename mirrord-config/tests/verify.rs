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

#[test]
fn a_good_file_says_its_target_its_warnings_and_what_it_fits() {
    let expected = json!({
        "type": "Success",
        "config": { "path": { "docker": "web", "container": "app" }, "namespace": null },
        "warnings": ["x.json:1:53: `use_proxy` has no effect: no cluster is asked"],
        "compatible_target_types": ["targetless", "pid", "netns", "docker", "podman", "compose"],
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
    assert_eq!(answer["compatible_target_types"], json!(["pid", "netns", "docker", "podman", "compose"]));
}

#[test]
fn every_setting_is_shown_if_asked_for() {
    let answer = ask(r#"{"feature": {"fs": "write"}}"#, true, true);
    assert_eq!(answer.pointer("/resolved_config/feature/fs/mode"), Some(&json!("write")));
    assert_eq!(answer.pointer("/resolved_config/feature/network/dns/enabled"), Some(&json!(true)));
    assert_eq!(ask("{}", true, false).get("resolved_config"), None);
}
