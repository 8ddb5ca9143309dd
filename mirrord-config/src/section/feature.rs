//! `feature`: what of the target the program gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    env::Env,
    fs::{self, Fs},
    network::Network,
};
use crate::shape::{OneOrMany, Switch, SwitchOrMode, one_or_many};

/// What of the target the program gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Feature {
    /// The environment.
    #[schemars(with = "Switch<Env>")]
    pub env: Env,
    /// The files.
    #[schemars(with = "SwitchOrMode<Fs, fs::Mode>")]
    pub fs: Fs,
    /// The network.
    #[schemars(with = "Switch<Network>")]
    pub network: Network,
    /// Whether the program sees the target's host name.
    pub hostname: bool,
    /// What is done for particular tools without being asked.
    pub magic: Magic,
    /// Work on a copy of the target. Not supported yet.
    #[schemars(with = "Option<Switch<CopyTarget>>")]
    pub copy_target: Option<CopyTarget>,
    /// Share the target's queues. Not supported yet.
    pub split_queues: Option<Value>,
    /// Branches of the target's databases. Not supported yet.
    pub db_branches: Option<Vec<Value>>,
    /// Preview environments. Not supported yet.
    pub preview: Option<serde_json::Map<String, Value>>,
}

/// What is done for particular tools without being asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Magic {
    /// Hide the developer's own AWS profile: `AWS_PROFILE` is unset, and `~/.aws` is an empty place.
    pub aws: bool,
    /// Read the volumes that the target mounts. Has no effect without Kubernetes.
    pub auto_mount: bool,
    /// Keep loopback connections of Next.js here.
    pub turbo: bool,
}

/// Work on a copy of the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CopyTarget {
    /// Whether at all.
    pub enabled: bool,
    /// Whether the target is scaled down meanwhile.
    pub scale_down: bool,
    /// Containers that are not copied.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub exclude_containers: Option<Vec<String>>,
    /// Init containers that are not copied.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub exclude_init_containers: Option<Vec<String>>,
}

impl Default for Feature {
    fn default() -> Self {
        Self {
            env: Env::default(),
            fs: Fs::default(),
            network: Network::default(),
            hostname: true,
            magic: Magic::default(),
            copy_target: None,
            split_queues: None,
            db_branches: None,
            preview: None,
        }
    }
}

impl Default for Magic {
    fn default() -> Self {
        Self { aws: true, auto_mount: true, turbo: true }
    }
}
