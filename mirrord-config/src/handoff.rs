//! The settings as every process of the guest receives them: rules, and the facts that the session has found.

use mirrord_core::rules::Rules;
use mirrord_protocol::wire::{self, DecodeError, EncodeError};
use serde::{Deserialize, Serialize};

/// What the proxy gives to a layer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handoff {
    /// What the session may do.
    pub rules: Rules,
    /// What it has found.
    pub facts: Facts,
}

/// How descriptors reach the guest (DESIGN 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataPath {
    /// Made where the target stands, and passed.
    #[default]
    Passed,
    /// Made here, and relayed.
    Proxied,
}

/// What the session has found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// How descriptors reach the guest.
    pub data_path: DataPath,
    /// Whether there is a target at all, or an agent that stands elsewhere without one.
    pub has_target: bool,
    /// The target's host name.
    pub hostname: String,
    /// The cookie of the target's network namespace (`SO_NETNS_COOKIE`), by which a passed socket is known.
    pub netns_cookie: u64,
    /// What the kernel puts before the target's paths, when it tells the path of a passed or FUSE descriptor.
    #[serde(with = "serde_bytes")]
    pub path_prefix: Vec<u8>,
    /// Whether the kernel tells of the target's files here what it tells there: owners have the same numbers.
    pub looks_alike: bool,
    /// The working directory in which the session was started.
    #[serde(with = "serde_bytes")]
    pub start_dir: Vec<u8>,
    /// The program `mirrord`, by which a layer starts what it cannot enter; empty if it is not to.
    #[serde(with = "serde_bytes")]
    pub host: Vec<u8>,
    /// Whether guests that are supervised may make rings of `io_uring`.
    pub allows_rings: bool,
    /// Ports and ranges that debuggers use on this machine's loopback: never taken.
    pub debugger_ports: Vec<(u16, u16)>,
}

impl Handoff {
    /// The bytes that a layer reads.
    ///
    /// # Errors
    /// When the rules are larger than a message may be.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        wire::encode(self)
    }

    /// What a proxy has written.
    ///
    /// # Errors
    /// When the bytes are not a hand-off of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        wire::decode(bytes)
    }
}
