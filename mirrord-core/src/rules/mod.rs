//! What this session may do, compiled once by the host and only asked by the guest.

pub mod address;
pub mod dns;
pub mod env;
pub mod fs;
pub mod incoming;
mod kept;
#[cfg(feature = "compile")]
pub mod mapping;
pub mod outgoing;
pub mod pattern;
pub mod process;

use serde::{Deserialize, Serialize};

/// Everything that the layer asks. Plain data: it travels to every process of the guest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Which processes are guests.
    pub process: process::ProcessRules,
    /// Which paths go there.
    pub fs: fs::FsRules,
    /// Which names are asked there.
    pub dns: dns::DnsRules,
    /// Which destinations are reached from there.
    pub outgoing: outgoing::OutgoingRules,
    /// Which ports are stolen, mirrored or left.
    pub incoming: incoming::IncomingRules,
    /// Whether the host's name is the target's.
    pub hostname: bool,
    /// Whether IPv6 sockets may be made at all.
    pub ipv6: bool,
}
