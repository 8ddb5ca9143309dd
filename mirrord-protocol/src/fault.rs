//! A remote failure as it travels: an errno and, for people, words.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// A failed deed: the Linux errno that the guest is to see, and what the far side had to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The errno by its Linux number.
    pub errno: i32,
    /// For traces and error messages; empty where the errno says it all.
    pub words: String,
}

impl Fault {
    /// A fault that its errno explains.
    #[must_use]
    pub fn os(errno: i32) -> Self {
        Self { errno, words: String::new() }
    }

    /// A fault with words.
    #[must_use]
    pub fn with_words(errno: i32, words: impl Into<String>) -> Self {
        Self { errno, words: words.into() }
    }
}

impl From<io::Error> for Fault {
    /// Keeps the errno; an error that has none is an input/output error (`EIO`) in words.
    fn from(error: io::Error) -> Self {
        const EIO: i32 = 5;
        match error.raw_os_error() {
            Some(errno) => Self::os(errno),
            None => Self::with_words(EIO, error.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        if self.words.is_empty() { write!(f, "{error}") } else { write!(f, "{}: {error}", self.words) }
    }
}

impl std::error::Error for Fault {}
