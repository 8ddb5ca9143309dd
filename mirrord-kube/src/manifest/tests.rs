//! The manifests, whole.

use super::*;

fn options() -> AgentOptions {
    AgentOptions {
        image: "mirrord-agent:0.1.0".into(),
        image_pull_policy: "IfNotPresent".into(),
        ttl: 1,
        startup_timeout: 60,
        communication_timeout: 30,
        log_level: "info".into(),
        check_out_of_pods: true,
        disable_mesh_sidecar_injection: true,
        ..AgentOptions::default()
    }
}

fn target() -> TargetPod {
    TargetPod {
        namespace: "shop".into(),
        name: "web-7c9-x2".into(),
        uid: "4f5e".into(),
        node: "node-1".into(),
        container: "app".into(),
        container_id: "0123456789abcdef".repeat(4),
        ..TargetPod::default()
    }
}

fn plan<'a>(options: &'a AgentOptions, target: Option<&'a TargetPod>) -> Plan<'a> {
    Plan {
        name: "mirrord-agent-x",
        namespace: "shop",
        options,
        target,
        client_key: None,
        owner: "ann@laptop",
    }
}

fn text(object: impl serde::Serialize) -> String {
    serde_json::to_string_pretty(&object).unwrap()
}

#[test]
fn a_job_sees_the_nodes_processes_and_nothing_of_its_files() {
    let (options, target) = (options(), target());
    insta::assert_snapshot!(text(plan(&options, Some(&target)).job().unwrap()));
}

#[test]
fn an_agent_without_a_target_is_nobody() {
    let options = AgentOptions { node_selector: [("disk".into(), "fast".into())].into(), ..options() };
    insta::assert_snapshot!(text(plan(&options, None).job().unwrap()));
}

#[test]
fn what_the_user_wants_is_in_the_job() {
    let options = AgentOptions {
        image_pull_policy: "Always".into(),
        image_pull_secrets: vec!["registry".into()],
        ttl: 60,
        communication_timeout: 5,
        log_level: "debug".into(),
        json_log: true,
        disabled_capabilities: vec!["NET_ADMIN".into(), "SYS_ADMIN".into()],
        tolerations: Some(r#"[{"key": "gpu", "operator": "Exists"}]"#.into()),
        resources: Some(r#"{"limits": {"cpu": "500m"}}"#.into()),
        labels: [("team".into(), "red".into()), ("app".into(), "not-ours".into())].into(),
        annotations: [("note".into(), "by hand".into()), ("linkerd.io/inject".into(), "enabled".into())]
            .into(),
        service_account: Some("agents".into()),
        priority_class: Some("low".into()),
        security_context: Some(
            r#"{"app_armor_profile": {"type": "Localhost", "localhostProfile": "agent"},
                "seccompProfile": {"type": "RuntimeDefault"}}"#
                .into(),
        ),
        disable_mesh_sidecar_injection: false,
        dns_timeout: Some(3),
        dns_attempts: Some(2),
        ..options()
    };
    let target = target();
    insta::assert_snapshot!(text(plan(&options, Some(&target)).job().unwrap()));
}

#[test]
fn a_privileged_agent_has_it_written_that_it_is() {
    let options = AgentOptions { privileged: true, ..options() };
    insta::assert_snapshot!(text(privilege::beside_a_target(&options)));
}

#[test]
fn an_ephemeral_container_joins_the_targets_processes_and_pins_its_clients() {
    let options = AgentOptions { ephemeral: true, ..options() };
    let target = target();
    let plan = Plan { client_key: Some("ab12"), ..plan(&options, Some(&target)) };
    insta::assert_snapshot!(text(plan.ephemeral(true)));
    assert_eq!(plan.ephemeral(false).security_context, None);
}

#[test]
fn an_option_that_kubernetes_would_not_read_is_named() {
    let target = target();
    let options = AgentOptions { tolerations: Some(r#"{"key": 1}"#.into()), ..options() };
    let error = plan(&options, Some(&target)).job().unwrap_err();
    assert_eq!(error.to_string(), "`agent.tolerations` is not what Kubernetes expects there");
    assert!(error.hint().is_some());
}

#[test]
fn the_same_container_has_one_agent_for_all_and_another_container_another() {
    let (options, target) = (options(), target());
    let name = shared_name(&options, &target);
    assert_eq!(name, shared_name(&options, &target));
    assert!(name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
    let restarted = TargetPod { container_id: "fe".repeat(32), ..target.clone() };
    assert_ne!(name, shared_name(&options, &restarted));
    let other_image = AgentOptions { image: "mine:1".into(), ..options.clone() };
    assert_ne!(name, shared_name(&other_image, &target));
}

#[test]
fn a_label_holds_what_labels_can() {
    assert_eq!(label(&"0123456789abcdef".repeat(4)).len(), 63);
    assert_eq!(label("a/b@"), "a-b");
}
