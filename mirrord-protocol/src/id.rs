//! Numbers that name things: no bare integers cross the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// The next number of the same kind.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.wrapping_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id! {
    /// One question of the proxy to the agent; its answer carries the same number.
    RequestId
}
id! {
    /// A connection that arrived at a stolen or mirrored port of the target, as the agent numbers it.
    ArrivalId
}
id! {
    /// A file or directory that the agent holds open for the proxy.
    RemoteFd
}
id! {
    /// A client, as the agent numbers it: one session.
    ClientId
}
id! {
    /// A socket of a guest, named by its inode (`fstat(2)`), which survives `dup`, `fork` and `exec`.
    SocketInode
}
