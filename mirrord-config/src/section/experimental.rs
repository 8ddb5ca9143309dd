//! `experimental`: switches of the layer, most of which concern what is done otherwise here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Switches that may go away. None has an effect here: what they are for is done otherwise, or not supported yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Experimental {
    /// Pretend that connections to port 7 succeed.
    pub tcp_ping4_mock: Option<bool>,
    /// Trust any certificate (macOS).
    pub trust_any_certificate: Option<bool>,
    /// Share sockets with executed programs.
    pub enable_exec_hooks_linux: Option<bool>,
    /// Hide IPv6 addresses of interfaces. Not supported yet.
    pub hide_ipv6_interfaces: Option<bool>,
    /// Ignore `SO_REUSEADDR` and `SO_REUSEPORT`.
    pub disable_reuseaddr: Option<bool>,
    /// Stand for remote files by `/dev/null`.
    pub use_dev_null: Option<bool>,
    /// Milliseconds that an idle HTTP connection is kept.
    pub idle_local_http_connection_timeout: Option<u64>,
    /// Ignore the system's proxies (macOS).
    pub ignore_system_proxy_config: Option<bool>,
    /// Open the browser's extension. Not supported yet.
    pub browser_extension_config: Option<bool>,
    /// A log of patched programs (macOS).
    pub sip_log_destination: Option<String>,
    /// Connect without blocking.
    pub non_blocking_tcp_connect: Option<bool>,
    /// Look into Go libraries that are loaded later. Not supported yet.
    pub dlopen_cgo: Option<bool>,
    /// Slow traffic down. Not supported yet.
    pub latency: Option<Latency>,
    /// Apple variables (macOS).
    pub applev: Option<serde_json::Value>,
    /// Utilities that need no patch (macOS).
    pub sip_utils: Option<bool>,
    /// Switch the stack of Go programs.
    pub go_asmcgocall: Option<bool>,
    /// Open closed standard streams.
    pub guard_std_fds: Option<bool>,
}

/// Delays, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Before something is sent.
    pub transmit_delay: Option<u64>,
    /// Before something is received.
    pub receive_delay: Option<u64>,
}
