//! `feature.network`: traffic, in both directions, and names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    dns::Dns,
    incoming::{self, Incoming},
    outgoing::Outgoing,
};
use crate::shape::{Switch, SwitchOrMode};

/// Traffic, in both directions, and names. `false` keeps all of it here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Connections to the target's ports.
    #[schemars(with = "SwitchOrMode<Incoming, incoming::Mode>")]
    pub incoming: Incoming,
    /// Connections of the program.
    #[schemars(with = "Switch<Outgoing>")]
    pub outgoing: Outgoing,
    /// Names that the program asks for.
    #[schemars(with = "Switch<Dns>")]
    pub dns: Dns,
    /// Whether the program may make IPv6 sockets.
    pub ipv6: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self { incoming: Incoming::default(), outgoing: Outgoing::default(), dns: Dns::default(), ipv6: true }
    }
}
