//! `feature.network.dns`: names that the program asks for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outgoing::Filter;

/// Which names are asked at the target. `false` asks all of them here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Whether names are asked at the target.
    pub enabled: bool,
    /// The only names that are asked at the target, or are not.
    pub filter: Option<Filter>,
}

impl Default for Dns {
    fn default() -> Self {
        Self { enabled: true, filter: None }
    }
}
