//! `agent`: the program beside the target. On this machine only its log can be chosen.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shape::{OneOrMany, one_or_many};

/// The program beside the target. Most of it concerns Kubernetes, and is not supported yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// What the agent logs; `info` if absent.
    pub log_level: Option<String>,
    /// Seconds that it may take to answer. Has no effect on this machine.
    pub communication_timeout: Option<u32>,
    /// Log as JSON. Has no effect on this machine.
    pub json_log: Option<bool>,
    /// The namespace of its Job. Not supported yet.
    pub namespace: Option<String>,
    /// Its image. Not supported yet.
    pub image: Option<Image>,
    /// When its image is pulled. Not supported yet.
    pub image_pull_policy: Option<String>,
    /// Secrets for its image. Not supported yet.
    pub image_pull_secrets: Option<Vec<Value>>,
    /// Seconds after which its Job is deleted. Not supported yet.
    pub ttl: Option<u16>,
    /// Run as an ephemeral container. Not supported yet.
    pub ephemeral: Option<bool>,
    /// Seconds that it may take to start. Has no effect on this machine.
    pub startup_timeout: Option<u64>,
    /// Drop connections that stand when stealing starts. Has no effect: they stay with the target.
    pub flush_connections: Option<bool>,
    /// Capabilities that it does without. Not supported yet.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub disabled_capabilities: Option<Vec<String>>,
    /// Taints that its pod tolerates. Not supported yet.
    pub tolerations: Option<Vec<Value>>,
    /// What its pod may use. Not supported yet.
    pub resources: Option<Value>,
    /// Look for room on the node first. Not supported yet.
    pub check_out_of_pods: Option<bool>,
    /// Run privileged. Not supported yet.
    pub privileged: Option<bool>,
    /// Pass connections to the address that they came for. Has no effect: they always are.
    pub external_ip_fix: Option<bool>,
    /// Redirect by nftables. `false` is not supported yet.
    pub nftables: Option<bool>,
    /// How it asks for names. Has no effect yet.
    pub dns: Option<AgentDns>,
    /// Labels of its pod. Not supported yet.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of its pod. Not supported yet.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Nodes for its pod. Not supported yet.
    pub node_selector: Option<BTreeMap<String, String>>,
    /// The account of its pod. Not supported yet.
    pub service_account: Option<String>,
    /// The priority of its pod. Not supported yet.
    pub priority_class: Option<String>,
    /// The security context of its pod. Not supported yet.
    pub security_context: Option<Value>,
    /// Where it serves metrics. Not supported yet.
    pub metrics: Option<String>,
    /// Keep its port out of a service mesh. Not supported yet.
    pub exclude_from_mesh: Option<bool>,
    /// Keep sidecars out of its pod. Not supported yet.
    pub disable_mesh_sidecar_injection: Option<bool>,
    /// Mark responses with a header. Not supported yet.
    pub inject_headers: Option<bool>,
    /// Replace `Cache-Control` in responses. Not supported yet.
    pub override_cache_control: Option<bool>,
    /// The largest body that a filter reads. Not supported yet.
    pub max_body_buffer_size: Option<u64>,
    /// Milliseconds that a filter waits for a body. Not supported yet.
    pub max_body_buffer_timeout: Option<u64>,
    /// Seconds to wait for the first bytes of a request. Not supported yet.
    pub http_detection_timeout: Option<u64>,
    /// How long a jq program may run. Not supported yet.
    pub jaq_time_limit: Option<u64>,
    /// Remove what an earlier agent left. Has no effect: nothing is ever left.
    pub clean_iptables_on_start: Option<bool>,
}

/// The agent's image: a reference, or its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Image {
    /// A reference.
    Reference(String),
    /// Its parts.
    Parts(ImageParts),
}

/// Parts of a reference to an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageParts {
    /// Registry and repository.
    pub registry: Option<String>,
    /// The tag.
    pub tag: Option<String>,
}

/// How the agent asks for names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentDns {
    /// Seconds to wait for an answer.
    pub timeout: Option<u32>,
    /// How often to ask.
    pub attempts: Option<u32>,
}
