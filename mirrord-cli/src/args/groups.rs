//! Groups of flags that several commands share, each the short form of environment variables.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueEnum};

/// Where a bare `-f` looks.
pub(super) const DEFAULT_CONFIG_FILE: &str = "./.mirrord/mirrord.json";

/// Flags as the environment variables that they are short for: they win over the environment and the file.
pub(crate) type Overrides = BTreeMap<&'static str, String>;

fn given<const N: usize>(pairs: [(&'static str, Option<String>); N]) -> Overrides {
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn flag(set: bool, value: &str) -> Option<String> {
    set.then(|| value.to_owned())
}

/// How a value is written on the command line.
pub(super) fn word(value: impl ValueEnum + Copy) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// The configuration file; without a path, `./.mirrord/mirrord.json`; `-` is the standard input.
    /// [env: `MIRRORD_CONFIG_FILE`]
    #[arg(
        short = 'f',
        long,
        value_name = "PATH",
        num_args = 0..=1,
        default_missing_value = DEFAULT_CONFIG_FILE,
    )]
    pub(crate) config_file: Option<PathBuf>,
}

/// Whose place is taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArguments {
    /// KIND/NAME[/container/CONTAINER], or `targetless`. In Kubernetes: pod, deployment, rollout, statefulset,
    /// daemonset, replicaset, job, cronjob, service, label/KEY=VALUE,…; on this machine: pid, netns, docker, podman,
    /// compose.
    #[arg(short, long, value_name = "TARGET")]
    target: Option<String>,
    /// The namespace of a target in Kubernetes.
    #[arg(short = 'n', long, value_name = "NAMESPACE")]
    target_namespace: Option<String>,
}

impl TargetArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        given([
            ("MIRRORD_IMPERSONATED_TARGET", self.target.clone()),
            ("MIRRORD_TARGET_NAMESPACE", self.target_namespace.clone()),
        ])
    }
}

/// How an agent in Kubernetes is made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Agent in Kubernetes")]
pub(crate) struct AgentArguments {
    /// The namespace of the agent; that of the target if absent.
    #[arg(short, long, value_name = "NAMESPACE")]
    agent_namespace: Option<String>,
    /// What the agent logs.
    #[arg(short = 'l', long, value_name = "LEVEL")]
    agent_log_level: Option<String>,
    /// The agent's image.
    #[arg(short = 'i', long, value_name = "IMAGE")]
    agent_image: Option<String>,
    /// For how many seconds a finished agent is kept.
    #[arg(long, value_name = "SECONDS")]
    agent_ttl: Option<u16>,
    /// For how many seconds to wait for the agent.
    #[arg(long, value_name = "SECONDS")]
    agent_startup_timeout: Option<u16>,
    /// Run the agent as an ephemeral container of the target.
    #[arg(short, long)]
    ephemeral_container: bool,
}

impl AgentArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        let number = |value: &Option<u16>| value.map(|value| value.to_string());
        given([
            ("MIRRORD_AGENT_NAMESPACE", self.agent_namespace.clone()),
            ("MIRRORD_AGENT_RUST_LOG", self.agent_log_level.clone()),
            ("MIRRORD_AGENT_IMAGE", self.agent_image.clone()),
            ("MIRRORD_AGENT_TTL", number(&self.agent_ttl)),
            ("MIRRORD_AGENT_STARTUP_TIMEOUT", number(&self.agent_startup_timeout)),
            ("MIRRORD_EPHEMERAL_CONTAINER", flag(self.ephemeral_container, "true")),
        ])
    }
}

/// How a cluster is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArguments {
    /// Do not verify the certificate of the API server.
    #[arg(
        short = 'c',
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    accept_invalid_certificates: Option<bool>,
    /// The context of the kubeconfig; its current one if absent.
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
}

impl ClusterArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        given([
            (
                "MIRRORD_ACCEPT_INVALID_CERTIFICATES",
                self.accept_invalid_certificates.map(|accept| accept.to_string()),
            ),
            ("MIRRORD_KUBE_CONTEXT", self.context.clone()),
        ])
    }
}

/// What is taken from the target.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
#[command(next_help_heading = "Features")]
pub(crate) struct FeatureArguments {
    /// Which files are the target's.
    #[arg(long, value_enum, value_name = "MODE")]
    fs_mode: Option<FsMode>,
    /// Variables of the target that are not taken: patterns, separated by `;`.
    #[arg(short = 'x', long, value_name = "PATTERNS")]
    override_env_vars_exclude: Option<String>,
    /// Variables of the target that are taken: patterns, separated by `;`.
    #[arg(short = 's', long, value_name = "PATTERNS")]
    override_env_vars_include: Option<String>,
    /// A dotenv file whose variables lie over the target's.
    #[arg(long, value_name = "PATH")]
    env_file: Option<String>,
    /// Ask names here.
    #[arg(long)]
    no_remote_dns: bool,
    /// Answer the target's traffic, instead of hearing it.
    #[arg(long)]
    steal: bool,
    /// Connect from here.
    #[arg(long)]
    no_outgoing: bool,
    /// Connect by TCP from here.
    #[arg(long)]
    no_tcp_outgoing: bool,
    /// Send UDP from here.
    #[arg(long)]
    no_udp_outgoing: bool,
    /// Names of programs to leave alone, separated by `;`.
    #[arg(long, value_name = "NAMES")]
    skip_processes: Option<String>,
    /// How descriptors reach the program: made where the target stands and passed, or relayed.
    #[arg(long, value_enum, value_name = "HOW")]
    data_path: Option<DataPath>,
    /// The session's key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: Option<String>,
}

impl FeatureArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        let no_tcp = self.no_outgoing || self.no_tcp_outgoing;
        let no_udp = self.no_outgoing || self.no_udp_outgoing;
        given([
            ("MIRRORD_FILE_MODE", self.fs_mode.map(|mode| word(mode).replace('-', ""))),
            ("MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE", self.override_env_vars_exclude.clone()),
            ("MIRRORD_OVERRIDE_ENV_VARS_INCLUDE", self.override_env_vars_include.clone()),
            ("MIRRORD_OVERRIDE_ENV_VARS_FILE", self.env_file.clone()),
            ("MIRRORD_REMOTE_DNS", flag(self.no_remote_dns, "false")),
            ("MIRRORD_AGENT_TCP_STEAL_TRAFFIC", flag(self.steal, "true")),
            ("MIRRORD_TCP_OUTGOING", flag(no_tcp, "false")),
            ("MIRRORD_UDP_OUTGOING", flag(no_udp, "false")),
            ("MIRRORD_SKIP_PROCESSES", self.skip_processes.clone()),
            ("MIRRORD_DATA_PATH", self.data_path.map(word)),
            ("MIRRORD_KEY", self.key.clone()),
        ])
    }
}

/// What other tools of this kind are told, and what means nothing here.
#[derive(Debug, Args)]
pub(crate) struct IgnoredArguments {
    /// Accepted for compatibility: nothing is ever told about anybody.
    #[arg(long, hide = true)]
    no_telemetry: bool,
    /// Accepted for compatibility: no version is ever looked up.
    #[arg(long, hide = true)]
    disable_version_check: bool,
}

impl IgnoredArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        given([("MIRRORD_TELEMETRY", flag(self.no_telemetry, "false"))])
    }
}

/// `feature.fs.mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FsMode {
    /// Read and write there.
    Write,
    /// Read there, write here.
    Read,
    /// Everything here.
    Local,
    /// Everything here but what the lists of the configuration name.
    #[value(alias = "localwithoverrides")]
    LocalWithOverrides,
}

/// `data_path`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DataPath {
    /// The fastest that the target allows.
    Auto,
    /// Made there, and passed.
    Passed,
    /// Made here, and relayed.
    Proxied,
}
