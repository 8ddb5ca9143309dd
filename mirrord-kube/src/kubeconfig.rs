//! Repairs a kubeconfig whose credential plugin is named without its path.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// What would make the kubeconfig work from every environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The file.
    pub path: PathBuf,
    /// The user of the current context.
    pub user: String,
    /// The plugin's command as it stands.
    pub old: String,
    /// The same command by its absolute path; none where nothing needs to change.
    pub new: Option<String>,
    /// The whole file with the new command.
    pub text: String,
}

/// Why a kubeconfig cannot be repaired.
#[derive(Debug, Error)]
pub enum FixError {}

impl FixError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match *self {}
    }
}

/// What would change in the kubeconfig at `path` (the usual one where there is none), commands being looked up in
/// `path_var`.
///
/// Nothing is written; see [`Fix::write`].
pub fn fix(path: Option<&Path>, path_var: &OsStr) -> Result<Fix, FixError> {
    let _ = (path, path_var);
    todo!("fix")
}

impl Fix {
    /// Writes the file, at once or not at all.
    pub fn write(&self) -> std::io::Result<()> {
        todo!("write")
    }
}
