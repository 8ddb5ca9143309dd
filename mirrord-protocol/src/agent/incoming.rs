//! Traffic that the target receives: subscribe, arrivals.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::ArrivalId;

/// A TCP port of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port(pub u16);

/// How a port's traffic is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wish {
    /// Answer instead of the target.
    Steal,
    /// Also hear what the target hears; what is answered is dropped.
    Mirror,
}

/// From now on this port's connections arrive at the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeCall {
    /// Whose connections.
    pub port: Port,
    /// In which way.
    pub wish: Wish,
    /// Whether stolen connections are wanted as descriptors (same machine) or by lane.
    pub pass: bool,
}

/// A connection that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Its number; a lane or a return names it.
    pub id: ArrivalId,
    /// The port that the peer asked for.
    pub port: Port,
    /// The real peer.
    pub peer: SocketAddr,
    /// The address that the peer asked for.
    pub local: SocketAddr,
    /// Stolen or mirrored.
    pub wish: Wish,
    /// Whether the connection itself rides along. Otherwise the proxy opens a lane for it.
    pub descriptor: bool,
}
