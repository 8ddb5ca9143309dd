//! `agent`: the program beside the target, and how it is made in a cluster. On this machine only its log can be chosen.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shape::{OneOrMany, one_or_many};

/// The program beside the target. Most of it concerns clusters alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// What the agent logs; `info` if absent.
    pub log_level: Option<String>,
    /// Seconds that it waits for its session, at first and after its connection was cut; 30 if absent.
    pub communication_timeout: Option<u32>,
    /// Whether it logs as JSON; `false` if absent.
    pub json_log: Option<bool>,
    /// The namespace of its Job; the target's if absent.
    pub namespace: Option<String>,
    /// Its image: a reference, or its parts; `mirrord-agent` of this version if absent.
    pub image: Option<Image>,
    /// When its image is pulled: `Always`, `IfNotPresent` (if absent) or `Never`.
    pub image_pull_policy: Option<String>,
    /// Secrets by which its image is pulled: names, or `{"name": …}`.
    pub image_pull_secrets: Option<Vec<Value>>,
    /// Seconds after its end in which its Job is kept; 1 if absent.
    pub ttl: Option<u16>,
    /// Run as an ephemeral container of the target's pod, instead of a Job; `false` if absent.
    pub ephemeral: Option<bool>,
    /// Seconds that it may take to start; 60 if absent.
    pub startup_timeout: Option<u64>,
    /// Drop connections that stand when stealing starts. Has no effect: they stay with the target.
    pub flush_connections: Option<bool>,
    /// Which of `NET_ADMIN`, `SYS_PTRACE` and `SYS_ADMIN` it does without.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub disabled_capabilities: Option<Vec<String>>,
    /// Taints that its pod tolerates, as Kubernetes writes them; all of them if absent.
    pub tolerations: Option<Vec<Value>>,
    /// What its pod asks for and may use, as Kubernetes writes it.
    pub resources: Option<Value>,
    /// Look for room on the node first; `true` if absent.
    pub check_out_of_pods: Option<bool>,
    /// Run privileged; `false` if absent.
    pub privileged: Option<bool>,
    /// Pass connections to the address that they came for. Has no effect: they always are.
    pub external_ip_fix: Option<bool>,
    /// Redirect by nftables. `false` is not supported yet.
    pub nftables: Option<bool>,
    /// How it asks for names.
    pub dns: Option<AgentDns>,
    /// Further labels of its pod.
    pub labels: Option<BTreeMap<String, String>>,
    /// Further annotations of its pod.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels of nodes for its pod, where there is no target.
    pub node_selector: Option<BTreeMap<String, String>>,
    /// The service account of its pod.
    pub service_account: Option<String>,
    /// The priority class of its pod.
    pub priority_class: Option<String>,
    /// The security context of its pod, as Kubernetes writes it.
    pub security_context: Option<Value>,
    /// Where it serves metrics. Not supported yet.
    pub metrics: Option<String>,
    /// Keep its port out of a service mesh. Has no effect: it is on loopback, where no mesh looks.
    pub exclude_from_mesh: Option<bool>,
    /// Keep the sidecars of service meshes out of its pod; `true` if absent.
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
