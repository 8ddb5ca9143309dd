//! `external_proxy`, `container`, `ci`, `startup_retry`: sections of commands that are still to come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape::{OneOrMany, one_or_many};

/// The proxy outside of a container. Not supported yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalProxy {
    /// Whether containers speak TLS with it.
    pub tls_enable: Option<bool>,
    /// Seconds that it waits for the first connection.
    pub start_idle_timeout: Option<u64>,
    /// Seconds that it stays after the last one.
    pub idle_timeout: Option<u64>,
    /// What it logs.
    pub log_level: Option<String>,
    /// Its log file.
    pub log_destination: Option<String>,
    /// Whether it logs as JSON.
    pub json_log: Option<bool>,
    /// The address on which it listens.
    pub host_ip: Option<String>,
}

/// Programs in containers. Not supported yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Container {
    /// The image beside the program.
    pub cli_image: Option<String>,
    /// Arguments for the container beside the program.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub cli_extra_args: Option<Vec<String>>,
    /// Keep the container beside the program.
    pub cli_prevent_cleanup: Option<bool>,
    /// Where its image has the layer.
    pub cli_image_lib_path: Option<String>,
    /// The address of this machine, as containers see it.
    pub override_host_ip: Option<String>,
    /// Find this machine by the runtime's own name for it.
    pub host_gateway_detection: Option<bool>,
    /// Where the container has its certificates.
    pub cli_tls_path: Option<String>,
    /// The platform of the program's image.
    pub platform: Option<String>,
}

/// Sessions of continuous integration. Not supported yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ci {
    /// Where their logs are written.
    pub output_dir: Option<String>,
}

/// How requests to a cluster are repeated at the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartupRetry {
    /// The shortest pause, in milliseconds.
    pub min_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_ms: u64,
    /// How often; 0 is never.
    pub max_retries: u32,
}

impl Default for StartupRetry {
    fn default() -> Self {
        Self { min_ms: 500, max_ms: 5000, max_retries: 2 }
    }
}
