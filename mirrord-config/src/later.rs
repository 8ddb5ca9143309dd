//! Keys that are known but do nothing yet, or nothing on this machine: which are refused, and what they wait for; which
//! are let pass, and whether that is said.

use mirrord_core::target::Target;
use serde_json::Value;

use crate::{
    problem::Findings,
    tree::{Kind, Node},
};

/// What becomes of a key without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Refused: the user would get something else than was asked for. What it needs.
    Refused(&'static str),
    /// Let pass, but said: why it has no effect.
    Warned(&'static str),
    /// Works with a cluster; said where the target is on this machine.
    Elsewhere,
    /// Let pass: nothing is lost.
    Ignored,
}

/// A key, the values that ask for nothing (as a JSON list), and its fate with any other one.
pub(crate) struct Later {
    pub(crate) path: &'static str,
    pub(crate) idle: &'static str,
    pub(crate) fate: Fate,
}

const OPERATOR: Fate = Fate::Refused("it needs the operator");
const HTTP: Fate = Fate::Refused("it needs HTTP filters");
const TLS: Fate = Fate::Refused("it needs stealing of TLS");
const CONTAINER: Fate = Fate::Refused("it needs `mirrord container`");

const fn later(path: &'static str, idle: &'static str, fate: Fate) -> Later {
    Later { path, idle, fate }
}

/// All of them. Empty lists and sections ask for nothing, whatever the key.
pub(crate) const LATER: &[Later] = &[
    later("target.namespace", "[]", Fate::Elsewhere),
    later("kubeconfig", "[]", Fate::Elsewhere),
    later("kube_context", "[]", Fate::Elsewhere),
    later("operator", "[false]", OPERATOR),
    later("multi_cluster", "[false]", OPERATOR),
    later("profile", "[]", OPERATOR),
    later("accept_invalid_certificates", "[false]", Fate::Elsewhere),
    later("use_proxy", "[true]", Fate::Elsewhere),
    later("telemetry", "[]", Fate::Ignored),
    later("skip_sip", "[]", Fate::Ignored),
    later("sip_binaries", "[]", Fate::Ignored),
    later("traceparent", "[]", Fate::Ignored),
    later("baggage", "[]", Fate::Ignored),
    later("startup_retry", r#"[{"min_ms":500,"max_ms":5000,"max_retries":2}]"#, Fate::Elsewhere),
    later("ci.output_dir", "[]", Fate::Refused("it needs `mirrord ci`")),
    later(
        "feature.env.load_from_process",
        "[false]",
        Fate::Warned("the environment is always fetched before the program starts"),
    ),
    later("feature.fs.readonly_file_buffer", "[]", Fate::Ignored),
    later("feature.magic.auto_mount", "[true,false]", Fate::Ignored),
    later("feature.copy_target", r#"[{"enabled":false}]"#, OPERATOR),
    later("feature.split_queues", "[]", OPERATOR),
    later("feature.db_branches", "[]", OPERATOR),
    later("feature.preview", "[]", OPERATOR),
    later("feature.network.incoming.http_filter", "[]", HTTP),
    later("feature.network.incoming.tls_delivery", "[]", TLS),
    later("feature.network.incoming.https_delivery", "[]", TLS),
    later("feature.network.incoming.on_concurrent_steal", r#"["abort"]"#, OPERATOR),
    later("agent.json_log", "[false]", Fate::Elsewhere),
    later("agent.communication_timeout", "[]", Fate::Elsewhere),
    later("agent.namespace", "[]", Fate::Elsewhere),
    later("agent.image", "[]", Fate::Elsewhere),
    later("agent.image_pull_policy", r#"["IfNotPresent"]"#, Fate::Elsewhere),
    later("agent.image_pull_secrets", "[]", Fate::Elsewhere),
    later("agent.ttl", "[1]", Fate::Elsewhere),
    later("agent.ephemeral", "[false]", Fate::Elsewhere),
    later("agent.startup_timeout", "[60]", Fate::Elsewhere),
    later(
        "agent.flush_connections",
        "[false]",
        Fate::Warned("connections that stand when stealing starts stay with the target"),
    ),
    later("agent.disabled_capabilities", "[]", Fate::Elsewhere),
    later("agent.tolerations", r#"[[{"operator":"Exists"}]]"#, Fate::Elsewhere),
    later("agent.resources", "[]", Fate::Elsewhere),
    later("agent.check_out_of_pods", "[true]", Fate::Elsewhere),
    later("agent.privileged", "[false]", Fate::Elsewhere),
    later(
        "agent.external_ip_fix",
        "[true]",
        Fate::Warned("connections are always passed to the address that they came for"),
    ),
    later("agent.nftables", "[true]", Fate::Refused("it needs redirection by iptables")),
    later("agent.dns.timeout", "[1]", Fate::Elsewhere),
    later("agent.dns.attempts", "[]", Fate::Elsewhere),
    later("agent.labels", "[]", Fate::Elsewhere),
    later("agent.annotations", "[]", Fate::Elsewhere),
    later("agent.node_selector", "[]", Fate::Elsewhere),
    later("agent.service_account", "[]", Fate::Elsewhere),
    later("agent.priority_class", "[]", Fate::Elsewhere),
    later("agent.security_context", "[]", Fate::Elsewhere),
    later("agent.metrics", "[]", Fate::Refused("it needs metrics of the agent")),
    later(
        "agent.exclude_from_mesh",
        "[false]",
        Fate::Warned("the agent's port is on loopback, where no mesh looks"),
    ),
    later("agent.disable_mesh_sidecar_injection", "[true]", Fate::Elsewhere),
    later("agent.inject_headers", "[false]", HTTP),
    later("agent.override_cache_control", "[true]", HTTP),
    later("agent.max_body_buffer_size", "[65535]", HTTP),
    later("agent.max_body_buffer_timeout", "[1000]", HTTP),
    later("agent.http_detection_timeout", "[2]", HTTP),
    later("agent.jaq_time_limit", "[1]", HTTP),
    later("agent.clean_iptables_on_start", "[true,false]", Fate::Ignored),
    later("internal_proxy.socket_timeout", "[]", Fate::Ignored),
    later("internal_proxy.ping_interval", "[]", Fate::Elsewhere),
    later("internal_proxy.process_logging_interval", "[]", Fate::Ignored),
    later("external_proxy.tls_enable", "[true]", CONTAINER),
    later("external_proxy.start_idle_timeout", "[60]", CONTAINER),
    later("external_proxy.idle_timeout", "[5]", CONTAINER),
    later("external_proxy.log_level", r#"["mirrord=info,warn"]"#, CONTAINER),
    later("external_proxy.log_destination", "[]", CONTAINER),
    later("external_proxy.json_log", "[true]", CONTAINER),
    later("external_proxy.host_ip", "[]", CONTAINER),
    later("container.cli_image", "[]", CONTAINER),
    later("container.cli_extra_args", "[]", CONTAINER),
    later("container.cli_prevent_cleanup", "[false]", CONTAINER),
    later("container.cli_image_lib_path", "[]", CONTAINER),
    later("container.override_host_ip", "[]", CONTAINER),
    later("container.host_gateway_detection", "[true]", CONTAINER),
    later("container.cli_tls_path", r#"["/opt/mirrord/tls/mirrord-tls.pem"]"#, CONTAINER),
    later("container.platform", "[]", CONTAINER),
    later("experimental.tcp_ping4_mock", "[true]", Fate::Ignored),
    later("experimental.trust_any_certificate", "[]", Fate::Ignored),
    later(
        "experimental.enable_exec_hooks_linux",
        "[true]",
        Fate::Warned("sockets always survive `exec`: they are the kernel's"),
    ),
    later("experimental.hide_ipv6_interfaces", "[false]", Fate::Refused("it needs a hook of `getifaddrs`")),
    later("experimental.disable_reuseaddr", "[]", Fate::Warned("the program's socket options are its own")),
    later("experimental.use_dev_null", "[true,false]", Fate::Ignored),
    later("experimental.idle_local_http_connection_timeout", "[3000]", HTTP),
    later("experimental.ignore_system_proxy_config", "[]", Fate::Ignored),
    later("experimental.browser_extension_config", "[false]", HTTP),
    later("experimental.sip_log_destination", "[]", Fate::Ignored),
    later(
        "experimental.non_blocking_tcp_connect",
        "[true]",
        Fate::Warned("a connection blocks exactly if the program's socket does"),
    ),
    later(
        "experimental.dlopen_cgo",
        "[false]",
        Fate::Refused("the `supervisor` engine does it: set `engine`"),
    ),
    later("experimental.latency.transmit_delay", "[0]", Fate::Refused("it needs `mirrord chaos`")),
    later("experimental.latency.receive_delay", "[0]", Fate::Refused("it needs `mirrord chaos`")),
    later("experimental.applev", "[]", Fate::Ignored),
    later("experimental.sip_utils", "[]", Fate::Ignored),
    later("experimental.go_asmcgocall", "[]", Fate::Ignored),
    later("experimental.guard_std_fds", "[]", Fate::Ignored),
];

/// Judges every such key of a tree whose short forms are written out.
pub(crate) fn judge(root: &Node, findings: &mut Findings) {
    let is_here = names_local_target(root);
    for later in LATER {
        let Some(node) = root.get(later.path) else { continue };
        if is_idle(node, later) || findings.has(later.path) {
            continue;
        }
        match later.fate {
            Fate::Refused(needs) => {
                let message = format!("`{}` is not supported yet: {needs}", later.path);
                let hint = hint(later, node);
                findings.problem(Some(node.origin), later.path, message, Some(hint));
            }
            Fate::Warned(why) => {
                let place = findings.place(node.origin);
                findings.warn(format!("{place}: `{}` has no effect: {why}", later.path));
            }
            Fate::Elsewhere if is_here => {
                let place = findings.place(node.origin);
                let why = "the target is on this machine";
                findings.warn(format!("{place}: `{}` has no effect: {why}", later.path));
            }
            Fate::Elsewhere | Fate::Ignored => {}
        }
    }
}

/// Whether the target is one of this machine.
fn names_local_target(root: &Node) -> bool {
    let Some(Kind::Text(path)) = root.get("target.path").map(|node| &node.kind) else { return false };
    matches!(path.parse(), Ok(Target::Named { kind, .. }) if kind.is_local())
}

fn is_idle(node: &Node, later: &Later) -> bool {
    let is_empty = match &node.kind {
        Kind::Map(entries) => entries.is_empty(),
        Kind::List(items) => items.is_empty(),
        _ => false,
    };
    let idle: Vec<Value> = serde_json::from_str(later.idle).unwrap_or_default();
    is_empty || idle.iter().any(|value| says_no_more(&node.to_value(), value))
}

/// Whether a value says nothing that the idle one does not say.
fn says_no_more(said: &Value, idle: &Value) -> bool {
    match (said, idle) {
        (Value::Object(said), Value::Object(idle)) => {
            said.iter().all(|(key, value)| idle.get(key).is_some_and(|idle| says_no_more(value, idle)))
        }
        _ => said == idle,
    }
}

fn hint(later: &Later, node: &Node) -> String {
    let idle: Vec<Value> = serde_json::from_str(later.idle).unwrap_or_default();
    match (&node.origin, idle.first()) {
        (crate::problem::Origin::File { .. }, Some(value)) => {
            format!("leave it out, or set it to `{value}`").replace('"', "")
        }
        (crate::problem::Origin::File { .. }, None) => "leave it out".to_owned(),
        (crate::problem::Origin::Environment(name), _) => format!("unset `{name}`"),
        (crate::problem::Origin::Flag(name), _) => format!("leave `{name}` out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_idle_list_is_json() {
        for later in LATER {
            assert!(serde_json::from_str::<Vec<Value>>(later.idle).is_ok(), "{}", later.path);
        }
    }

    #[test]
    fn every_key_is_known_to_the_schema() {
        let mut root = Node::new(Kind::Map(Vec::new()), crate::problem::Origin::Flag("--x"));
        for later in LATER {
            root.set(later.path, Node::new(Kind::Null, crate::problem::Origin::Flag("--x")));
        }
        let mut findings = Findings::new(String::new());
        crate::check::check(&root, &crate::schema::schema(), &mut findings, |_| true);
        assert_eq!(findings.take_problems(), Ok(()));
    }
}
