//! What the user wants of a cluster: how to reach it, and how an agent is made there.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// How the API server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterOptions {
    /// `kubeconfig`: the file; none for `KUBECONFIG`, the one in the home folder, or the account of a pod.
    pub kubeconfig: Option<PathBuf>,
    /// `kube_context`: none for the file's current one.
    pub context: Option<String>,
    /// `target.namespace`: none for that of the context.
    pub namespace: Option<String>,
    /// `accept_invalid_certificates`: none leaves it to the kubeconfig.
    pub accept_invalid_certificates: Option<bool>,
    /// `use_proxy`: whether `HTTP_PROXY` and its kin are followed.
    pub use_proxy: bool,
    /// Whence relative paths, also those of `KUBECONFIG`, are meant; none for the working folder.
    pub start_dir: Option<PathBuf>,
    /// `startup_retry`.
    pub retries: Retries,
}

/// How often an API server that is too busy is asked again, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// The shortest pause, in milliseconds.
    pub min_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_ms: u64,
    /// How often; 0 is never.
    pub n: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { min_ms: 500, max_ms: 5000, n: 2 }
    }
}

/// `agent`: how it is made. JSON texts are as Kubernetes writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration")]
pub struct AgentOptions {
    /// `agent.namespace`: where its Job is made; none for the target's.
    pub namespace: Option<String>,
    /// `agent.image`, whole.
    pub image: String,
    /// `agent.image_pull_policy`.
    pub image_pull_policy: String,
    /// `agent.image_pull_secrets`: their names.
    pub image_pull_secrets: Vec<String>,
    /// `agent.ttl`: seconds that a finished Job is kept.
    pub ttl: u16,
    /// `agent.ephemeral`: a container of the target's pod, instead of a Job.
    pub ephemeral: bool,
    /// `agent.startup_timeout`, in seconds.
    pub startup_timeout: u64,
    /// `agent.communication_timeout`: seconds that it waits for a client, at first and after each.
    pub communication_timeout: u32,
    /// `agent.log_level`.
    pub log_level: String,
    /// `agent.json_log`.
    pub json_log: bool,
    /// `agent.disabled_capabilities`: of `NET_ADMIN`, `SYS_PTRACE` and `SYS_ADMIN`.
    pub disabled_capabilities: Vec<String>,
    /// `agent.tolerations`: a JSON list; none tolerates everything.
    pub tolerations: Option<String>,
    /// `agent.resources`: a JSON object; none asks for next to nothing.
    pub resources: Option<String>,
    /// `agent.check_out_of_pods`: look for room on the node first.
    pub check_out_of_pods: bool,
    /// `agent.privileged`.
    pub privileged: bool,
    /// `agent.labels`.
    pub labels: BTreeMap<String, String>,
    /// `agent.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `agent.node_selector`: for an agent without a target.
    pub node_selector: BTreeMap<String, String>,
    /// `agent.service_account`.
    pub service_account: Option<String>,
    /// `agent.priority_class`.
    pub priority_class: Option<String>,
    /// `agent.security_context`: a JSON object.
    pub security_context: Option<String>,
    /// `agent.disable_mesh_sidecar_injection`.
    pub disable_mesh_sidecar_injection: bool,
    /// `agent.dns.timeout`, in seconds.
    pub dns_timeout: Option<u32>,
    /// `agent.dns.attempts`.
    pub dns_attempts: Option<u32>,
}
