//! `feature.network.incoming`: connections to the target's ports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shape::{OneOrMany, Switch, one_or_many};

/// Connections to the ports on which the program listens. `true` is `mirror`, `false` is `off`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Incoming {
    /// What becomes of the target's traffic.
    pub mode: Mode,
    /// The only ports of the target that are wanted. All if absent. Not together with `ignore_ports`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<u16>>")]
    pub ports: Option<Vec<u16>>,
    /// Ports that stay here. Not together with `ports`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<u16>>")]
    pub ignore_ports: Option<Vec<u16>>,
    /// Whether listeners on loopback addresses stay here.
    pub ignore_localhost: bool,
    /// Pairs of the program's port and the target's port for which it stands.
    pub port_mapping: Option<Vec<(u16, u16)>>,
    /// Pairs of the port that the program asks for and the port of this machine on which it really listens.
    pub listen_ports: Option<Vec<(u16, u16)>>,
    /// What happens to a port that another session steals. Not supported yet but for `abort`.
    pub on_concurrent_steal: OnConcurrentSteal,
    /// Which HTTP requests are wanted. Not supported yet.
    #[schemars(with = "Option<Switch<HttpFilter>>")]
    pub http_filter: Option<HttpFilter>,
    /// How stolen TLS reaches the program. Not supported yet.
    pub tls_delivery: Option<TlsDelivery>,
    /// The older name of `tls_delivery`. Not supported yet.
    pub https_delivery: Option<TlsDelivery>,
}

/// What becomes of the target's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The program hears it, too.
    #[default]
    Mirror,
    /// The program answers it instead of the target.
    Steal,
    /// The program gets none of it.
    Off,
}

/// What happens to a port that another session steals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnConcurrentSteal {
    /// The session is refused.
    #[default]
    Abort,
    /// The other session loses it.
    Override,
    /// The session goes on without it.
    Continue,
}

/// Which HTTP requests are wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpFilter {
    /// A regular expression over `Name: value`.
    pub header_filter: Option<String>,
    /// A regular expression over the path.
    pub path_filter: Option<String>,
    /// A method.
    pub method_filter: Option<String>,
    /// A condition on the body.
    pub body_filter: Option<Value>,
    /// A jq program over `Name: value`.
    pub header_filter_jq: Option<String>,
    /// Filters that all must match.
    pub all_of: Option<Vec<Value>>,
    /// Filters of which one must match.
    pub any_of: Option<Vec<Value>>,
    /// The ports to which the filter applies.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<u16>>")]
    pub ports: Option<Vec<u16>>,
}

/// How stolen TLS reaches the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsDelivery {
    /// `tls` or `tcp`.
    pub protocol: Option<String>,
    /// Certificates that are trusted.
    pub trust_roots: Option<Vec<String>>,
    /// The name that is asked for.
    pub server_name: Option<String>,
    /// The certificate that is expected.
    pub server_cert: Option<String>,
}
