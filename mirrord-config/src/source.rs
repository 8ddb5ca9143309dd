//! File, environment, flags: who wins, and where each value came from.

use std::path::{Path, PathBuf};

use crate::problem::{Problem, Problems};

/// A configuration file as it was read.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// Its path; `-` is standard input.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl FileSource {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let bytes = if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
        } else {
            std::fs::read(path)
        };
        bytes.map(|bytes| Self { path: path.to_owned(), bytes }).map_err(|error| {
            Problems(vec![Problem {
                place: None,
                key: None,
                message: format!("cannot read the configuration file `{}`: {error}", path.display()),
                hint: None,
            }])
        })
    }
}
