//! What is wrong, at which line and key, and what would be right.

use std::fmt;

use thiserror::Error;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file, at a line and a column, both counted from 1.
    File {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// A variable of the environment.
    Environment(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

/// One thing that is wrong: the user's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `mirrord.json:3:5`, a variable or a flag; none if it is nowhere in particular.
    pub place: Option<String>,
    /// The key, from the root: `feature.fs.mode`.
    pub key: Option<String>,
    /// What, in a lower-case clause.
    pub message: String,
    /// What would be right, in a lower-case clause.
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

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// What has been found so far, and how the file is called.
#[derive(Debug)]
pub(crate) struct Findings {
    file: String,
    problems: Vec<(Option<Origin>, Problem)>,
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    pub(crate) fn new(file: String) -> Self {
        Self { file, problems: Vec::new(), warnings: Vec::new() }
    }

    /// A problem of a key.
    pub(crate) fn problem(
        &mut self,
        origin: Option<Origin>,
        key: &str,
        message: String,
        hint: Option<String>,
    ) {
        let place = origin.map(|origin| self.place(origin));
        let key = (!key.is_empty()).then(|| key.to_owned());
        self.problems.push((origin, Problem { place, key, message, hint }));
    }

    /// A problem after which nothing more can be found.
    pub(crate) fn fail(&mut self, origin: Option<Origin>, key: &str, message: String) -> Problems {
        self.problem(origin, key, message, None);
        self.take_problems().err().unwrap_or_else(|| Problems(Vec::new()))
    }

    /// Something that the user should read.
    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// A place in words.
    pub(crate) fn place(&self, origin: Origin) -> String {
        match origin {
            Origin::File { .. } if self.file.is_empty() => "the configuration".to_owned(),
            Origin::File { line, column } => format!("{}:{line}:{column}", self.file),
            Origin::Environment(name) | Origin::Flag(name) => format!("`{name}`"),
        }
    }

    /// How many things are wrong.
    pub(crate) fn n_problems(&self) -> usize {
        self.problems.len()
    }

    /// Whether something is wrong with a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.problems.iter().any(|(_, problem)| problem.key.as_deref() == Some(key))
    }

    /// Everything that is wrong, if anything is: first what is in the file, in its order.
    pub(crate) fn take_problems(&mut self) -> Result<(), Problems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|(origin, _)| match origin {
            Some(Origin::File { line, column }) => (0, *line, *column),
            _ => (1, 0, 0),
        });
        Err(Problems(self.problems.drain(..).map(|(_, problem)| problem).collect()))
    }
}
