//! `feature.fs`: which files are the target's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::shape::{OneOrMany, one_or_many};

/// Where files are read and written. `true` is `read`, `false` is `local`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fs {
    /// What happens to paths that no list has.
    pub mode: Mode,
    /// Regular expressions of paths that are read and written at the target.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub read_write: Option<Vec<String>>,
    /// Regular expressions of paths that are read at the target and written here.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub read_only: Option<Vec<String>>,
    /// Regular expressions of paths that stay here.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub local: Option<Vec<String>>,
    /// Regular expressions of paths that do not exist for the program.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub not_found: Option<Vec<String>>,
    /// Regular expressions of paths, and what replaces their match before anything is decided. `$1` is the first
    /// group.
    #[schemars(with = "Option<std::collections::BTreeMap<String, String>>")]
    pub mapping: Option<Map<String, Value>>,
    /// How many bytes are read ahead of a program that only reads; 15 MiB are the most. Has no effect: files are the
    /// kernel's, which reads ahead by itself.
    pub readonly_file_buffer: u64,
}

/// What happens to paths that no list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything stays here.
    Local,
    /// Everything stays here but what a list names.
    LocalWithOverrides,
    /// Reading is the target's, writing stays here.
    #[default]
    Read,
    /// Reading and writing are the target's.
    Write,
}

impl Default for Fs {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            read_write: None,
            read_only: None,
            local: None,
            not_found: None,
            mapping: None,
            readonly_file_buffer: 128_000,
        }
    }
}
