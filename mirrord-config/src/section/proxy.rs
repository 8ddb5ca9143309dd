//! `internal_proxy`: the local process that all programs of a session share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The local process that all programs of a session share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InternalProxy {
    /// Seconds that the proxy waits for the first program.
    pub start_idle_timeout: u64,
    /// Seconds that the proxy stays after the last program.
    pub idle_timeout: u64,
    /// What the proxy logs.
    pub log_level: String,
    /// The proxy's log file; a directory, or a path with a slash at its end, means a file in it. None if absent.
    pub log_destination: Option<String>,
    /// Whether the proxy logs as JSON.
    pub json_log: bool,
    /// Has no effect.
    pub socket_timeout: Option<u64>,
    /// Seconds between two signs of life to an agent in a cluster; 5 if absent.
    #[schemars(range(min = 1))]
    pub ping_interval: Option<u64>,
    /// Has no effect.
    pub process_logging_interval: Option<u64>,
}

impl Default for InternalProxy {
    fn default() -> Self {
        Self {
            start_idle_timeout: 60,
            idle_timeout: 5,
            log_level: "mirrord=info,warn".to_owned(),
            log_destination: None,
            json_log: true,
            socket_timeout: None,
            ping_interval: None,
            process_logging_interval: None,
        }
    }
}
