//! Why there is no agent in a cluster, and how the developer is told.

use std::{error::Error, io};

use mirrord_kube::ClusterError;
use mirrord_protocol::{agent::control::Farewell, fault::Fault};
use mirrord_trunk::TrunkError;
use thiserror::Error;

use crate::proxy::start::Failure;

/// Why there is no agent.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    /// The cluster did not do what was wanted.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It is there, but cannot be reached.
    #[error("cannot reach the agent in {place}")]
    Trunk {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: TrunkError,
    },
    /// It can be reached, but refuses.
    #[error("the agent in {place} refuses the session")]
    Refused {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: Fault,
    },
    /// We have no key to prove ourselves by.
    #[error("cannot make a key for the session")]
    Identity(#[source] mirrord_trunk::pinned::IdentityError),
    /// Whoever did it is gone.
    #[error("cannot start an agent")]
    Broken(#[source] io::Error),
}

impl Trouble {
    /// What the developer can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Trunk { source: TrunkError::Dial(error), .. } => {
                error.get_ref()?.downcast_ref::<ClusterError>()?.hint()
            }
            _ => None,
        }
    }

    /// The error and everything beneath it, outermost first.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec![self.to_string()];
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if words.last() != Some(&text) {
                words.push(text);
            }
            source = cause.source();
        }
        words
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let hint = trouble.hint();
        let mut words = trouble.words();
        Self { what: words.remove(0), causes: words, hint }
    }
}

/// Whether the same question may get another answer in a moment.
pub(super) fn may_pass(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::Unreachable { .. }
            | ClusterError::Proxy { .. }
            | ClusterError::NoAnswer { .. }
            | ClusterError::Asked { .. }
    )
}

/// Why an agent that was reached cannot serve, in its own words. A line that begins with `hint: ` is one.
pub(crate) fn said(what: String, fault: &Fault, farewell: Option<Farewell>) -> Failure {
    let words = match farewell {
        Some(Farewell::TargetGone) => "the target's main process is gone".to_owned(),
        Some(Farewell::Evicted) => "the agent was told to end".to_owned(),
        Some(Farewell::Protocol(words) | Farewell::Failed(words)) => words,
        None => fault.to_string(),
    };
    let mut failure = Failure { what, causes: Vec::new(), hint: None };
    for line in words.lines() {
        match line.split_once(": ") {
            Some(("hint", words)) => failure.hint = Some(words.to_owned()),
            Some(("error" | "cause", words)) => failure.causes.push(words.to_owned()),
            _ => failure.causes.push(line.to_owned()),
        }
    }
    failure
}
