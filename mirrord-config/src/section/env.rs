//! `feature.env`: which variables of the target the program gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::shape::{OneOrMany, one_or_many};

/// The target's environment lies over the one of the developer. `false` leaves the target's alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Env {
    /// Names of variables to take, with `*` and `?`. All if absent. Not together with `exclude`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub include: Option<Vec<String>>,
    /// Names of variables not to take, with `*` and `?`. Not together with `include`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub exclude: Option<Vec<String>>,
    /// Final values, which lie over all others.
    #[schemars(with = "Option<std::collections::BTreeMap<String, String>>")]
    pub r#override: Option<Map<String, Value>>,
    /// Names of variables that the program shall not have, whatever their case.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub unset: Option<Vec<String>>,
    /// Regular expressions over names, and the value that every variable gets whose name matches.
    #[schemars(with = "Option<std::collections::BTreeMap<String, String>>")]
    pub mapping: Option<Map<String, Value>>,
    /// A dotenv file whose values lie over the target's.
    pub env_file: Option<String>,
    /// Fetch the environment from within the program. Has no effect: it is always fetched before.
    pub load_from_process: bool,
}
