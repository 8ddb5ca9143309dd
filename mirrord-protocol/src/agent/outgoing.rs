//! Connections that begin where the target stands: TCP, UDP and unix in one vocabulary.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The name of a unix socket (`unix(7)`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnixName {
    /// A path beneath the target's root.
    Path(crate::GuestPath),
    /// A name of the abstract namespace, without its leading NUL.
    Abstract(serde_bytes::ByteBuf),
}

/// Where a stream is to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Destination {
    /// By TCP.
    Tcp(SocketAddr),
    /// To a unix stream socket.
    Unix(UnixName),
}

/// Connect a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectCall {
    /// Where to.
    pub to: Destination,
}

/// A stream or socket that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Its own address there (`getsockname(2)`); none for a unix socket.
    pub local: Option<SocketAddr>,
}

/// A UDP socket there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramCall {
    /// The address to bind, if the guest bound one; port 0 for any.
    pub bind: SocketAddr,
}

/// A frame of a lane of datagrams, either way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Datagram {
    /// One datagram, to or from the peer. It may be empty, and that means nothing special.
    Data(SocketAddr, serde_bytes::ByteBuf),
    /// The network refused what was sent to this peer (`ECONNREFUSED`, `EHOSTUNREACH`, `EMSGSIZE`, …).
    Failed(SocketAddr, i32),
}

/// A socket to be made in the target's network namespace (`socket(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketCall {
    /// `AF_INET` or `AF_INET6`; nothing else is made.
    pub domain: i32,
    /// `SOCK_STREAM` or `SOCK_DGRAM`, without flags.
    pub kind: i32,
    /// The protocol.
    pub protocol: i32,
}

/// A unix socket to be connected to a name of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnixCall {
    /// Whose.
    pub name: UnixName,
    /// `SOCK_STREAM` or `SOCK_SEQPACKET`, without flags.
    pub kind: i32,
}

/// A guest's unix socket to be bound to a path of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindCall {
    /// An absolute path.
    pub path: crate::GuestPath,
    /// The mode of the file that it makes, the umask already applied.
    pub mode: u32,
}
