//! `feature.network.outgoing`: connections of the program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape::{OneOrMany, one_or_many};

/// Which connections of the program begin at the target. `false` keeps all of them here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outgoing {
    /// Whether TCP connections begin at the target.
    pub tcp: bool,
    /// Whether UDP is sent from the target.
    pub udp: bool,
    /// Whether connections to loopback addresses stay here.
    pub ignore_localhost: bool,
    /// The only destinations that are reached from the target, or are not.
    pub filter: Option<Filter>,
    /// Regular expressions over paths of unix sockets that are the target's; abstract names begin with `@`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub unix_streams: Option<Vec<String>>,
}

/// Destinations that are reached from one side; all others are reached from the other one.
///
/// An entry is `[tcp://|udp://|any://]HOST[:PORT]`, where the host is a name, an address or a network
/// (`10.0.0.0/8`), or absent; an IPv6 address with a port stands in brackets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Destinations reached from the target. Not together with `local`.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub remote: Option<Vec<String>>,
    /// Destinations reached from this machine. Not together with `remote`.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub local: Option<Vec<String>>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { tcp: true, udp: true, ignore_localhost: false, filter: None, unix_streams: None }
    }
}
