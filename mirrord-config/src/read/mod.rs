//! A file's text into a tree, by the format that its name says.

mod json;
mod toml;
mod yaml;

use std::{cell::Cell, path::Path};

use crate::{problem::Origin, tree::Node};

/// The formats of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Toml,
    Yaml,
}

/// Why a text is not of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// In a lower-case clause.
    pub(crate) message: String,
    /// Where.
    pub(crate) origin: Option<Origin>,
}

/// How deep values may lie in one another.
const MAX_DEPTH: usize = 64;

impl Format {
    /// The format of a file, by its extension; without one it is JSON.
    pub(crate) fn of(path: &Path) -> Result<Self, String> {
        match path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).as_deref() {
            None | Some("json") => Ok(Self::Json),
            Some("toml") => Ok(Self::Toml),
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some(other) => Err(other.to_owned()),
        }
    }

    /// Reads a text.
    pub(crate) fn read(self, text: &str) -> Result<Node, SyntaxError> {
        match self {
            Self::Json => json::read(text),
            Self::Toml => toml::read(text),
            Self::Yaml => yaml::read(text),
        }
    }
}

/// Where a byte of a text stands.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The byte that was asked for last, and its column: a file may be one long line.
    last: Cell<(usize, usize)>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect(), last: Cell::new((0, 1)) }
    }

    fn origin(&self, at: usize) -> Origin {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let (from, before) = match self.last.get() {
            (last, column) if (start..=at).contains(&last) => (last, column),
            _ => (start, 1),
        };
        let column = before + self.text.get(from..at).map_or(0, |between| between.chars().count());
        self.last.set((at, column));
        Origin::File { line, column }
    }
}
