//! Sockets: what a layer asks before a socket of its guest goes anywhere.
//!
//! Two data paths answer. *Passed*: the socket is made in the target's network namespace and the guest gets it; the
//! kernel does the rest. *Proxied*: the guest's own socket is connected to a loopback listener of the proxy, which
//! relays; the layer asks here for what such a socket cannot know: its outcome, its peer, its own address.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{GuestPath, agent::outgoing::UnixName, id::SocketInode};

/// The size of the page of ports in bytes: a bit for each TCP port, set while the session listens on it here.
/// Bit `port % 8` of byte `port / 8`. The layer maps it read-only.
pub const PORT_PAGE: usize = 8192;

/// Where, behind the page of ports, the session counts its changes of files (where they are proxied): eight bytes of the
/// machine's own order.
pub const CHANGES: usize = PORT_PAGE;

/// The size of that memory.
pub const SHARED: usize = CHANGES + 8;

/// A question about a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketQuestion {
    /// Passed: a new socket of the target's network namespace. Answered with `Made` and the descriptor.
    Make {
        /// `AF_INET` or `AF_INET6`.
        domain: i32,
        /// `SOCK_STREAM` or `SOCK_DGRAM`, without flags.
        kind: i32,
        /// The protocol.
        protocol: i32,
    },
    /// A unix socket of the target. Answered with `Made` and the connected descriptor, in both data paths.
    Unix {
        /// Whose.
        name: UnixName,
        /// `SOCK_STREAM` or `SOCK_SEQPACKET`, without flags.
        kind: i32,
    },
    /// Does this destination match a host name of `outgoing.filter`? Answered with `Judged`.
    Judge {
        /// By UDP, or by TCP.
        datagram: bool,
        /// Where to.
        to: SocketAddr,
    },
    /// Proxied: where the relay of streams listens. Answered with `Relay`.
    StreamRelay,
    /// Proxied: this socket has just been connected to the relay. Answered with `Connected` or a fault when the far
    /// side has answered, or, if `wait` is false, with `Done` at once.
    ///
    /// If `n_plugged` is not 0, a duplicate of the socket rides along (`SCM_RIGHTS`, one descriptor). With it the
    /// proxy itself pulls the plug: when the far side has answered it gives the socket its send buffer back
    /// (`send_buffer`, or else automatic tuning by `SO_BUF_LOCK` 0), and closes the duplicate. The layer does nothing.
    Connect {
        /// Which socket.
        inode: SocketInode,
        /// Its address here, which the relay sees as its peer.
        from: SocketAddr,
        /// Where to.
        to: SocketAddr,
        /// How many bytes the layer has stuffed into the socket (DESIGN 2, the plug): the relay drops them.
        n_plugged: u32,
        /// The guest's send buffer before the plug, in the bytes that `setsockopt(SO_SNDBUF)` takes (half of what
        /// `getsockopt` tells), if the guest had set it itself (`SO_BUF_LOCK` has bit 1); none if it is the kernel's.
        send_buffer: Option<u32>,
        /// Whether to answer only when the outcome is known.
        wait: bool,
    },
    /// Proxied: the outcome of a connect, waited for. Answered with `Connected` or a fault.
    Outcome(SocketInode),
    /// Proxied: the addresses of a socket, as the guest must see them. Answered with `Addresses`, or `Unknown`.
    Addresses(SocketInode),
    /// Proxied: where datagrams of this socket to that destination go. Answered with `Relay`: to that address, and
    /// what comes from it came from the destination.
    ///
    /// If the socket is about to be connected there, a duplicate of it may ride along (`SCM_RIGHTS`, one descriptor):
    /// should the network refuse the destination soon, the proxy sends an empty datagram by it into the void, so that
    /// the guest's kernel tells the guest. The proxy keeps it for seconds only.
    DatagramRelay {
        /// Which socket.
        inode: SocketInode,
        /// Its address here.
        from: SocketAddr,
        /// The destination.
        to: SocketAddr,
    },
    /// The guest listens. Answered with `Listening`.
    Listen {
        /// The listening socket.
        inode: SocketInode,
        /// The address that the guest asked for, its port as it is known there (0 was resolved by the real bind).
        requested: SocketAddr,
        /// Where it really listens.
        bound: SocketAddr,
    },
    /// A connection accepted here comes from the proxy (its source is in [`DOORBELL_NET`]). Answered with `Arrived`.
    Accepted {
        /// The listening socket.
        listener: SocketInode,
        /// The accepted one.
        inode: SocketInode,
        /// Its peer, as `accept(2)` told it: the proxy's side.
        from: SocketAddr,
    },
    /// Passed: the address that the peer of a stolen connection asked for. Answered with `Addresses`, or `Unknown`.
    StolenAddresses {
        /// The peer.
        peer: SocketAddr,
        /// The socket's own address, as the kernel tells it.
        local: SocketAddr,
    },
    /// A stream socket was bound elsewhere than its guest asked for. From now on its `Addresses` are the requested
    /// one (as `local`, and as `peer`, which it has not), and a `Listen` of it has asked for that one. Answered with
    /// `Done`.
    Bound {
        /// Which socket.
        inode: SocketInode,
        /// The address that the guest asked for.
        requested: SocketAddr,
        /// Where it really is.
        bound: SocketAddr,
    },
    /// Proxied: a datagram came to this socket from an address of this machine. Answered with `Addresses`, whose
    /// `peer` is the destination that the relay stands for, or `Unknown`.
    DatagramSource {
        /// Which socket.
        inode: SocketInode,
        /// Where the datagram came from.
        from: SocketAddr,
    },
    /// Passed: a unix socket, which rides along (`SCM_RIGHTS`), is bound to a path of the target. Answered with `Done`.
    BindUnix {
        /// An absolute path.
        path: GuestPath,
        /// The mode of the file that it makes, the umask already applied.
        mode: u32,
    },
}

/// The first two bytes of the loopback addresses from which the proxy rings at a guest's listener (`127.77.0.0/16`).
pub const DOORBELL_NET: [u8; 2] = [127, 77];

/// The answer to a [`SocketQuestion`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketAnswer {
    /// It is done.
    Done,
    /// The socket rides along.
    Made,
    /// Whether it goes there.
    Judged {
        /// True: through the target. False: from here.
        there: bool,
    },
    /// Where to send to.
    Relay(SocketAddr),
    /// The far side has answered.
    Connected,
    /// A socket's addresses.
    Addresses {
        /// `getsockname(2)`.
        local: SocketAddr,
        /// `getpeername(2)`.
        peer: SocketAddr,
    },
    /// The proxy has no such socket: the kernel's own answer holds.
    Unknown,
    /// The port is subscribed, or not, and why is in the trace.
    Listening {
        /// Whether connections will arrive.
        subscribed: bool,
    },
    /// Whose connection this is.
    Arrived {
        /// The real peer.
        peer: SocketAddr,
        /// The address that it asked for.
        local: SocketAddr,
        /// Whether the connection itself rides along, and replaces the accepted one.
        descriptor: bool,
    },
}

impl SocketAnswer {
    /// Whether a descriptor rides along.
    #[must_use]
    pub fn has_descriptor(&self) -> bool {
        matches!(self, Self::Made | Self::Arrived { descriptor: true, .. })
    }
}
