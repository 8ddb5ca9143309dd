//! The file as users write it; unknown keys are problems, not silence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    section::{
        agent::Agent,
        experimental::Experimental,
        feature::Feature,
        kubernetes::{Ci, Container, ExternalProxy, StartupRetry},
        proxy::InternalProxy,
        supervisor::Supervisor,
        target::Target,
    },
    shape::{OneOrMany, one_or_many},
};

/// Settings of a session.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "mirrord configuration")]
pub struct File {
    /// The schema of this file, for editors.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Whose place the program takes. Nobody's if absent.
    pub target: Target,
    /// What of the target it gets.
    pub feature: Feature,
    /// How descriptors of the target reach the program.
    pub data_path: DataPath,
    /// How calls of the program are caught.
    pub engine: Engine,
    /// The supervisor, one of the two engines.
    pub supervisor: Supervisor,
    /// The key of the session; five random digits if absent.
    pub key: Option<String>,
    /// Names of programs that are left alone.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub skip_processes: Option<Vec<String>>,
    /// Whether compilers, linkers and the like are left alone.
    pub skip_build_tools: bool,
    /// Names of further build tools.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub skip_extra_build_tools: Option<Vec<String>>,
    /// The local process that all programs of a session share.
    pub internal_proxy: InternalProxy,
    /// The program beside the target.
    pub agent: Agent,
    /// Trust the API server's certificate unseen; as the kubeconfig says if absent.
    pub accept_invalid_certificates: Option<bool>,
    /// The file that names clusters; `KUBECONFIG`, `~/.kube/config` or the account of a pod if absent.
    pub kubeconfig: Option<String>,
    /// Which context of that file; its current one if absent.
    pub kube_context: Option<String>,
    /// Use the operator. `true` is not supported yet.
    pub operator: Option<bool>,
    /// Use all clusters. `true` is not supported yet.
    pub multi_cluster: Option<bool>,
    /// A profile of the cluster's. Not supported yet.
    pub profile: Option<String>,
    /// Whether the session answers on a socket in `~/.mirrord/sessions`, for `mirrord session`; it does if absent.
    pub api: Option<bool>,
    /// Has no effect: nothing is ever reported to anybody.
    pub telemetry: Option<bool>,
    /// Whether the environment's proxy is used to reach a cluster; `true` if absent.
    pub use_proxy: Option<bool>,
    /// Programs that are not patched (macOS). Has no effect on Linux.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub skip_sip: Option<Vec<String>>,
    /// Further programs to patch (macOS). Has no effect on Linux.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub sip_binaries: Option<Vec<String>>,
    /// How requests to a cluster are repeated at the start.
    pub startup_retry: StartupRetry,
    /// Sessions of continuous integration. Not supported yet.
    pub ci: Ci,
    /// A trace to join. Has no effect without the operator.
    pub traceparent: Option<String>,
    /// Baggage of that trace. Has no effect without the operator.
    pub baggage: Option<String>,
    /// The proxy outside of a container. Not supported yet.
    pub external_proxy: ExternalProxy,
    /// Programs in containers. Not supported yet.
    pub container: Container,
    /// Switches that may go away.
    pub experimental: Experimental,
}

/// How descriptors of the target reach the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataPath {
    /// Passed where the target is on this machine, proxied elsewhere.
    #[default]
    Auto,
    /// Made where the target stands, and passed.
    Passed,
    /// Made here, and relayed.
    Proxied,
}

/// How calls of the program are caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// By the library where the program can take it, by the supervisor where it cannot.
    #[default]
    Auto,
    /// By a library within the program.
    Layer,
    /// By a supervisor beside the program, which asks nothing of it.
    Supervisor,
}

impl Default for File {
    fn default() -> Self {
        Self {
            schema: None,
            target: Target::default(),
            feature: Feature::default(),
            data_path: DataPath::default(),
            engine: Engine::default(),
            supervisor: Supervisor::default(),
            key: None,
            skip_processes: None,
            skip_build_tools: true,
            skip_extra_build_tools: None,
            internal_proxy: InternalProxy::default(),
            agent: Agent::default(),
            accept_invalid_certificates: None,
            kubeconfig: None,
            kube_context: None,
            operator: None,
            multi_cluster: None,
            profile: None,
            api: None,
            telemetry: None,
            use_proxy: None,
            skip_sip: None,
            sip_binaries: None,
            startup_retry: StartupRetry::default(),
            ci: Ci::default(),
            traceparent: None,
            baggage: None,
            external_proxy: ExternalProxy::default(),
            container: Container::default(),
            experimental: Experimental::default(),
        }
    }
}
