//! Which paths are read there, written there, kept here, or hidden.

use serde::{Deserialize, Serialize};

use super::pattern::PatternSet;
use crate::verdict::{Errno, Reason, Verdict};

/// `feature.fs.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsMode {
    /// Everything stays here.
    Local,
    /// Everything stays here but what a list names.
    LocalWithOverrides,
    /// Reading goes there, writing stays here.
    #[default]
    Read,
    /// Reading and writing go there.
    Write,
}

/// What `feature.fs` says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FsRules {
    /// What happens to paths that no list has.
    pub mode: FsMode,
    /// Paths that are read and written there.
    pub read_write: PatternSet,
    /// Paths that are read there, and written here.
    pub read_only: PatternSet,
    /// Paths that stay here.
    pub local: PatternSet,
    /// Paths that do not exist.
    pub not_found: PatternSet,
    /// Paths that the proxy maps to others before anything is decided.
    pub mapping: PatternSet,
}

/// What a call would do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Look at it.
    Read,
    /// Change it, or make it.
    Write,
}

/// What this machine knows of itself, which the default lists need. Plain paths, without a slash at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Here<'a> {
    /// `HOME`, if set.
    pub home: Option<&'a [u8]>,
    /// `TMPDIR`, if set.
    pub temp_dir: Option<&'a [u8]>,
    /// The working directory in which the session was started, if it was not `/`.
    pub start_dir: Option<&'a [u8]>,
    /// The running program.
    pub executable: Option<&'a [u8]>,
}

impl FsRules {
    /// What becomes of a call on a path; `path` is plain ([`crate::path::plain`]) and mapping is already applied.
    #[must_use]
    pub fn decide(&self, _path: &[u8], _deed: Deed, _here: &Here<'_>) -> Verdict<()> {
        match self.mode {
            FsMode::Local => Verdict::Leave(Reason::Off),
            _ => Verdict::Refuse(Errno::ENOENT),
        }
    }
}
