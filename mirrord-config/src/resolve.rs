//! The sources laid over the defaults.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;

use crate::{lower::Lowered, problem::Problems, source::FileSource};

/// Everything that a configuration is made of. What the world says is captured here; nothing else is asked.
pub struct Input<'a> {
    /// The file, if the user names one.
    pub file: Option<FileSource>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
    /// Flags, as the variables for which they stand.
    pub flags: BTreeMap<&'static str, String>,
    /// The branch that is checked out, if any; asked only if a template wants to know.
    pub git_branch: &'a dyn Fn() -> Option<String>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// Where temporary files are.
    pub temp_dir: PathBuf,
    /// Makes five hexadecimal digits for a session that has no key.
    pub make_key: &'a dyn Fn() -> String,
}

/// A configuration without a fault.
#[derive(Debug)]
pub struct Resolved {
    /// What it means.
    pub lowered: Lowered,
    /// Every setting with its value, as `verify-config --resolved` prints them.
    pub settings: Value,
    /// What the user should read; each a lower-case clause.
    pub warnings: Vec<String>,
}

/// Loads, resolves and lowers a configuration.
///
/// # Errors
/// Everything that is wrong with it, as far as it can be seen at once.
pub fn resolve(_input: &Input<'_>) -> Result<Resolved, Problems> {
    Ok(Resolved { lowered: Lowered::default(), settings: Value::Null, warnings: Vec::new() })
}

/// What `mirrord verify-config` prints. `resolved` adds the settings; without `may_lack_target` a missing target is
/// a failure.
#[must_use]
pub fn verify(_input: &Input<'_>, _may_lack_target: bool, _resolved: bool) -> Value {
    Value::Null
}

/// The schema of a configuration file, for editors.
#[must_use]
pub fn schema() -> Value {
    Value::Null
}
