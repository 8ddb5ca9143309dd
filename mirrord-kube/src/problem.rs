//! What goes wrong with a cluster, each with its hint.

use std::fmt;

use thiserror::Error;

/// What is asked of the API server, in the words of its access rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// `get`, `list`, `watch`, `create`, `delete`, `patch`, `update`.
    pub verb: &'static str,
    /// The API group: empty for the core's.
    pub group: &'static str,
    /// The resource as rules name it: `pods`, `pods/portforward`.
    pub resource: &'static str,
    /// None for what has no namespace.
    pub namespace: Option<String>,
    /// One object, rather than a kind of them.
    pub name: Option<String>,
}

impl Ask {
    /// To do `verb` with `resource` of `group`.
    #[must_use]
    pub fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group, resource, namespace: None, name: None }
    }

    /// In `namespace`.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// With the one called `name`.
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace `{namespace}`")?;
        }
        Ok(())
    }
}

/// Why a cluster did not do what was wanted.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The API server answered, but not as was hoped, or did not answer.
    #[error("the API server at `{address}` did not {ask}")]
    Asked {
        /// What was asked.
        ask: Box<Ask>,
        /// Of whom.
        address: String,
        /// What came of it.
        #[source]
        source: Box<kube::Error>,
    },
}

impl ClusterError {
    /// What it means that `error` came of `ask`.
    #[must_use]
    pub fn of(ask: Ask, error: kube::Error, address: &str) -> Self {
        Self::Asked { ask: Box::new(ask), address: address.to_owned(), source: Box::new(error) }
    }

    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Asked { .. } => None,
        }
    }
}
