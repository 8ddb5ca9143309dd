//! The target's environment, filtered at the source.

use serde::{Deserialize, Serialize};

/// Which variables to tell: names are matched against `*` and `?` patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentCall {
    /// A variable must match one of these; none means all.
    pub include: Vec<String>,
    /// And none of these.
    pub exclude: Vec<String>,
}

/// Names and values, in the target's order. Bytes: an environment need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment(pub Vec<(serde_bytes::ByteBuf, serde_bytes::ByteBuf)>);
