//! `target`: whose place the program takes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The target, written out: everything shorter is turned into this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(with = "TargetForms")]
pub struct Target {
    /// The target as `KIND/NAME[/container/CONTAINER]`; none is `targetless`.
    pub path: Option<String>,
    /// Its Kubernetes namespace; the context's if absent.
    pub namespace: Option<String>,
}

/// The forms in which a target is written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum TargetForms {
    /// `KIND/NAME[/container/CONTAINER]`, or `targetless`.
    Path(String),
    /// A path or a section, and a namespace.
    Placed(Placed),
    /// One target by its kind.
    Section(Box<Section>),
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Placed {
    /// The target.
    path: PlacedPath,
    /// Its Kubernetes namespace.
    namespace: Option<String>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum PlacedPath {
    /// `KIND/NAME[/container/CONTAINER]`, or `targetless`.
    Path(String),
    /// One target by its kind.
    Section(Box<Section>),
}

/// One target by its kind, and one of its containers.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Section {
    /// A process of this machine, by its number.
    pid: Option<u32>,
    /// A network namespace of this machine, by its name.
    netns: Option<String>,
    /// A container of Docker.
    docker: Option<String>,
    /// A container of Podman.
    podman: Option<String>,
    /// A service of Docker Compose.
    compose: Option<String>,
    /// A pod.
    pod: Option<String>,
    /// A Deployment.
    deployment: Option<String>,
    /// An Argo Rollout.
    rollout: Option<String>,
    /// A Job.
    job: Option<String>,
    /// A `CronJob`.
    cron_job: Option<String>,
    /// A `StatefulSet`.
    stateful_set: Option<String>,
    /// A `DaemonSet`.
    daemon_set: Option<String>,
    /// A Service: the pods that it selects.
    service: Option<String>,
    /// A `ReplicaSet`.
    replica_set: Option<String>,
    /// All pods that have these labels.
    labels: Option<BTreeMap<String, String>>,
    /// Which of its containers.
    container: Option<String>,
}
