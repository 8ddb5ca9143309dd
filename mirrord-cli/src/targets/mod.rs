//! Where a target is: a process of this machine, a network namespace with a name, or a cluster.

mod cluster;
mod containers;
mod netns;
mod process;

use std::io;

use cluster::Surroundings;
use mirrord_config::Lowered;
use mirrord_core::target::{Kind, Target};
use thiserror::Error;

use crate::{proxy::start::Place, report::Explain};

/// What opens every door of this machine.
const AS_ROOT: &str = "run mirrord as root: `sudo -E mirrord exec …`";

/// A target that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where the agent steps in.
    pub(crate) place: Place,
    /// What the developer should know: which of several was taken.
    pub(crate) note: Option<String>,
}

/// Why a target cannot be taken.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    #[error("cannot find the process `{0}`")]
    NoProcess(i32),
    #[error("the process `{0}` has ended; its parent has not asked for its end yet")]
    Ended(i32),
    #[error("`{thread}` is a thread of the process `{process}`")]
    Thread { thread: i32, process: i32 },
    #[error("the process `{0}` is a part of the kernel")]
    Kernel(i32),
    #[error("cannot look into the process `{pid}`, which is of user `{user}`")]
    NotOurs {
        pid: i32,
        user: String,
        #[source]
        why: io::Error,
    },
    #[error("may not enter the network namespace of `{0}`")]
    MayNotEnter(String),
    #[error("cannot find the network namespace `{name}`")]
    NoNetwork { name: String, near: Vec<String> },
    #[error("`{0}` is no network namespace (any more)")]
    NotANetwork(String),
    #[error("cannot find `{target}`")]
    NoContainer { target: String, engine: &'static str, near: Vec<String> },
    #[error("`{target}` is not running, but {state}")]
    NotRunning { target: String, state: String, start: String },
    #[error("`{target}` may mean {} containers: {}", choices.len(), quoted(choices))]
    Several { target: String, choices: Vec<String> },
    #[error("`{0}` is one container, without others in it")]
    NoContainers(String),
    #[error("cannot run `{engine}`, which knows the containers of `{target}`")]
    NoEngine {
        target: String,
        engine: &'static str,
        #[source]
        why: io::Error,
    },
    #[error("`{engine}` does not answer")]
    EngineFails {
        engine: &'static str,
        #[source]
        why: EngineWords,
    },
    #[error("`{engine}` runs its containers on another machine: there is no process `{pid}` here")]
    Elsewhere { engine: &'static str, pid: i32 },
    #[error("nothing of `{0}` can be passed: it is in a cluster, not on this machine")]
    NotPassed(String),
}

/// What an engine says about itself.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct EngineWords(pub(crate) String);

impl Explain for TargetError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoProcess(_) | Self::Ended(_) | Self::Kernel(_) => {
                "`ps -e` lists the processes that run".to_owned()
            }
            Self::Thread { process, .. } => format!("name the process: `--target pid/{process}`"),
            Self::MayNotEnter(_) => AS_ROOT.to_owned(),
            Self::NotOurs { user, .. } if user == "root" => AS_ROOT.to_owned(),
            Self::NotOurs { user, .. } => {
                format!("run mirrord as `{user}`, or as root: `sudo -E mirrord exec …`")
            }
            Self::NoNetwork { near, .. } if near.is_empty() => "make it with `ip netns add`".to_owned(),
            Self::NotANetwork(name) => format!("make it anew: `ip netns delete {name}; ip netns add {name}`"),
            Self::NoContainer { engine, near, .. } if near.is_empty() => {
                format!("no container runs; `{engine} ps --all` lists those that have ended")
            }
            Self::NoNetwork { near, .. } | Self::NoContainer { near, .. } => {
                format!("there {} {}", if near.len() == 1 { "is" } else { "are" }, quoted(near))
            }
            Self::NotRunning { start, .. } => format!("start it: `{start}`"),
            Self::Several { target, .. } => format!("choose one: `--target {target}/container/NAME`"),
            Self::NoContainers(target) => format!("name it alone: `--target {target}`"),
            Self::NoEngine { engine, .. } => {
                format!("install `{engine}`, or name the container's main process: `--target pid/PID`")
            }
            Self::EngineFails { engine, .. } => format!("see that `{engine} ps` works for you"),
            Self::Elsewhere { .. } => {
                "run mirrord on the machine (or in the virtual machine) of the engine".to_owned()
            }
            Self::NotPassed(_) => "leave `data_path` out, or set it to `proxied`".to_owned(),
        })
    }
}

/// Finds a target: one of this machine alive and ours to enter; what is in a cluster is the proxy's to find.
pub(crate) fn find(lowered: &Lowered) -> Result<Found, TargetError> {
    let Target::Named { kind, name, container } = &lowered.target else {
        return cluster::targetless(lowered, &Surroundings::see());
    };
    if !kind.is_local() {
        return Ok(Found { place: cluster::place(lowered)?, note: None });
    }
    let container = container.as_deref();
    let alone = |place: Place| Ok(Found { place, note: None });
    match (kind, container) {
        (Kind::Pid | Kind::Netns | Kind::Docker, Some(_)) => {
            Err(TargetError::NoContainers(format!("{}/{name}", kind.name())))
        }
        (Kind::Pid, None) => {
            let pid = name.parse().map_err(|_| TargetError::NoProcess(0))?;
            process::check(pid)?;
            alone(Place::Process(pid))
        }
        (Kind::Netns, None) => alone(netns::find(name)?),
        (Kind::Docker, None) => containers::docker(name),
        (Kind::Podman, _) => containers::podman(name, container),
        (Kind::Compose, _) => containers::compose(name, container),
        _ => alone(cluster::place(lowered)?),
    }
}

/// `` `a`, `b` and `c` ``.
fn quoted<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match words.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        words => words.concat(),
    }
}
