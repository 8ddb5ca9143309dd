//! `supervisor`: the engine that stands beside the program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The engine that stands beside the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Supervisor {
    /// Whether the program may make rings of `io_uring`, whose calls nobody can catch.
    pub io_uring: IoUring,
}

/// Rings of `io_uring`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IoUring {
    /// Refused, as a kernel without them does: programs then make the calls themselves.
    #[default]
    Refuse,
    /// Allowed: what is done by them happens here.
    Allow,
}
