//! Settings into core rules; all judgement about settings is here.

use std::path::PathBuf;

use mirrord_core::{
    rules::{Rules, env::EnvRules},
    target::Target,
};

/// Everything that the command and its proxy must know of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// Whose place the guest takes.
    pub target: Target,
    /// What the session may do.
    pub rules: Rules,
    /// Which variables are taken, and what lies over them.
    pub environment: EnvRules,
    /// `feature.fs.mapping` with what magic adds: pairs of an expression and its replacement.
    pub mapping: Vec<(String, String)>,
    /// `feature.fs.readonly_file_buffer`, in bytes; 0 is off.
    pub readonly_file_buffer: u64,
    /// `data_path`.
    pub data_path: DataPathChoice,
    /// `internal_proxy`.
    pub proxy: ProxySettings,
    /// `agent.log_level`.
    pub agent_log_level: String,
    /// `agent.communication_timeout`, in seconds.
    pub agent_communication_timeout: Option<u64>,
    /// The key of the session.
    pub key: Key,
    /// `MIRRORD_IGNORE_DEBUGGER_PORTS`: first and last port of each range.
    pub debugger_ports: Vec<(u16, u16)>,
    /// `feature.magic.turbo`.
    pub turbo: bool,
}

/// `data_path`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataPathChoice {
    /// Passed where the target is on this machine, proxied elsewhere.
    #[default]
    Auto,
    /// Descriptors are made where the target stands, and passed.
    Passed,
    /// They are made here, and relayed.
    Proxied,
}

/// `internal_proxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Seconds to wait for the first layer.
    pub start_idle_timeout: u64,
    /// Seconds after the last layer.
    pub idle_timeout: u64,
    /// What is logged.
    pub log_level: String,
    /// Where; an existing directory or a path with a slash at its end means a file in it.
    pub log_destination: Option<PathBuf>,
    /// Whether as JSON.
    pub json_log: bool,
}

/// The key of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Whether nobody chose it.
    pub is_generated: bool,
}
