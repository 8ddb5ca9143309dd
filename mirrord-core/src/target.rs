//! `docker/web`, `pod/x/container/y`: parse and print a target, nothing more.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Whose place the guest takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// Nobody's: no environment, no incoming traffic.
    #[default]
    Targetless,
    /// Somebody's.
    Named {
        /// What it is.
        kind: Kind,
        /// What it is called.
        name: String,
        /// Which of its containers.
        container: Option<String>,
    },
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal $(| $alias:literal)* , local: $local:literal;)*) => {
        /// What a target can be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind, in reading order.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// How it is written.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Whether such a target is found on this machine, without Kubernetes.
            #[must_use]
            pub fn is_local(self) -> bool {
                match self { $(Self::$kind => $local,)* }
            }

            fn parse(text: &str) -> Option<Self> {
                match text { $($name $(| $alias)* => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A process of this machine, by its number.
    Pid = "pid", local: true;
    /// A network namespace of this machine, by its name (`ip-netns(8)`).
    Netns = "netns", local: true;
    /// A container of Docker.
    Docker = "docker", local: true;
    /// A container of Podman.
    Podman = "podman", local: true;
    /// A service of Docker Compose.
    Compose = "compose", local: true;
    /// A pod.
    Pod = "pod", local: false;
    /// A Deployment.
    Deployment = "deployment" | "deploy", local: false;
    /// An Argo Rollout.
    Rollout = "rollout", local: false;
    /// A `StatefulSet`.
    StatefulSet = "statefulset", local: false;
    /// A `DaemonSet`.
    DaemonSet = "daemonset", local: false;
    /// A `ReplicaSet`.
    ReplicaSet = "replicaset", local: false;
    /// A Job.
    Job = "job", local: false;
    /// A `CronJob`.
    CronJob = "cronjob", local: false;
    /// A Service: the pods that it selects.
    Service = "service", local: false;
    /// All pods with these labels: `k=v,k2=v2`.
    Label = "label", local: false;
}

/// Why a text is no target: the user's fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// It names no kind that there is.
    #[error("`{0}` is not a kind of target")]
    UnknownKind(String),
    /// A kind without a name.
    #[error("`{0}` names no target after its kind")]
    NoName(String),
    /// More than a kind, a name and a container.
    #[error("`{0}` has more in it than KIND/NAME/container/CONTAINER")]
    TooMuch(String),
    /// A process number that is none.
    #[error("`{0}` is not a process number")]
    NotAPid(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if matches!(text, "targetless" | "none") {
            return Ok(Self::Targetless);
        }
        if let Some(rest) = text.strip_prefix("label/").filter(|rest| !rest.is_empty()) {
            return Ok(labels(rest));
        }
        let mut parts = text.split('/');
        let word = parts.next().unwrap_or_default();
        let kind = Kind::parse(word).ok_or_else(|| TargetError::UnknownKind(word.to_owned()))?;
        let name = match parts.next() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => return Err(TargetError::NoName(text.to_owned())),
        };
        if kind == Kind::Pid && !name.parse::<i32>().is_ok_and(|pid| pid > 0) {
            return Err(TargetError::NotAPid(name));
        }
        let container = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some("container"), Some(container), None) if !container.is_empty() => Some(container.to_owned()),
            _ => return Err(TargetError::TooMuch(text.to_owned())),
        };
        Ok(Self::Named { kind, name, container })
    }
}

/// The keys of labels may have a `/` of their own: `label/app.kubernetes.io/name=web`.
fn labels(text: &str) -> Target {
    let container =
        text.rsplit_once("/container/").filter(|(_, name)| !name.contains(['=', '/']) && !name.is_empty());
    let (name, container) = match container {
        Some((name, container)) => (name, Some(container.to_owned())),
        None => (text, None),
    };
    Target::Named { kind: Kind::Label, name: name.to_owned(), container }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Targetless => f.write_str("targetless"),
            Self::Named { kind, name, container: None } => write!(f, "{}/{name}", kind.name()),
            Self::Named { kind, name, container: Some(container) } => {
                write!(f, "{}/{name}/container/{container}", kind.name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_prints_as_it_was_written() {
        for text in ["targetless", "pid/12", "docker/web", "deployment/api/container/app", "label/a=b,c=d"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("deploy/x".parse::<Target>().unwrap().to_string(), "deployment/x");
    }

    #[test]
    fn labels_may_have_prefixes() {
        let parse = |text: &str| text.parse::<Target>().unwrap();
        let labels = |name: &str, container: Option<&str>| Target::Named {
            kind: Kind::Label,
            name: name.into(),
            container: container.map(Into::into),
        };
        assert_eq!(parse("label/app.kubernetes.io/name=web"), labels("app.kubernetes.io/name=web", None));
        let whole = "label/a/b=c,container/d=e/container/app";
        assert_eq!(parse(whole), labels("a/b=c,container/d=e", Some("app")));
        assert_eq!(parse(whole).to_string(), whole);
        assert_eq!(parse("label/container/d=e"), labels("container/d=e", None));
    }

    #[test]
    fn what_is_no_target_says_why() {
        let why = |text: &str| text.parse::<Target>().unwrap_err();
        assert_eq!(why("dockr/web"), TargetError::UnknownKind("dockr".into()));
        assert_eq!(why("docker/"), TargetError::NoName("docker/".into()));
        assert_eq!(why("pid/zero"), TargetError::NotAPid("zero".into()));
        assert_eq!(why("pod/a/b"), TargetError::TooMuch("pod/a/b".into()));
    }
}
