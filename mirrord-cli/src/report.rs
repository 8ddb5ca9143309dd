//! Turns an error into `error:`, `cause:`, `hint:` and an exit code.

use std::{error::Error, fmt};

/// The session could not be made, so that the program never ran.
pub(crate) const BEFORE_THE_GUEST: u8 = 125;
/// The program is there, but cannot be run.
pub(crate) const CANNOT_BE_RUN: u8 = 126;
/// There is no such program.
pub(crate) const NOT_FOUND: u8 = 127;

/// An error that knows what the developer can do about it.
pub(crate) trait Explain: Error {
    /// What can be done: a flag, a file, a command.
    fn hint(&self) -> Option<String> {
        None
    }

    /// What the command ends with.
    fn code(&self) -> u8 {
        BEFORE_THE_GUEST
    }
}

/// What the developer reads when a command fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// What could not be done.
    pub(crate) what: String,
    /// Why, from the outside in.
    pub(crate) causes: Vec<String>,
    /// What can be done.
    pub(crate) hint: Option<String>,
    /// What the command ends with.
    pub(crate) code: u8,
}

impl Explain for mirrord_kube::ClusterError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Explain for mirrord_kube::kubeconfig::FixError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Report {
    /// What an editor reads when a command fails: the fields that editors know.
    pub(crate) fn to_json(&self, command: &str) -> serde_json::Value {
        serde_json::json!({
            "message": self.what,
            "code": format!("mirrord::{command}"),
            "severity": "error",
            "causes": self.causes,
            "help": self.hint,
            "labels": [],
            "related": [],
        })
    }
}

impl<E: Explain> From<E> for Report {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            // Some libraries say in their own words what their source says again.
            if causes.last() != Some(&words) {
                causes.push(words);
            }
            source = cause.source();
        }
        Self { what: error.to_string(), causes, hint: error.hint(), code: error.code() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.causes {
            write!(f, "\n  cause: {}", indented(cause))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The lines after the first one stand under it.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n         ")
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot open `x`")]
    struct OpenError(#[source] std::num::ParseIntError);

    impl Explain for OpenError {
        fn hint(&self) -> Option<String> {
            Some("make it".to_owned())
        }
    }

    #[test]
    fn a_report_tells_the_chain_and_ends_with_what_can_be_done() {
        let report = Report::from(OpenError("x".parse::<u8>().unwrap_err()));
        assert_eq!(
            report.to_string(),
            "error: cannot open `x`\n  cause: invalid digit found in string\n\nhint: make it"
        );
        assert_eq!(report.code, 125);
    }
}
