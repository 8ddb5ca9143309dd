//! What is wrong, at which line and key, and what would be right.

use std::fmt;

use thiserror::Error;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file, at a line and a column, both counted from 1.
    File {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In a variable of the environment.
    Environment(&'static str),
    /// In a flag of the command line.
    Flag(&'static str),
}

/// One thing that is wrong: the user's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `mirrord.json:3:5`, a variable or a flag; none if it lies between them.
    pub place: Option<String>,
    /// The key, from the root: `feature.fs.mode`.
    pub key: Option<String>,
    /// What, in a lower-case clause.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
