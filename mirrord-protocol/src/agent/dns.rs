//! Names, asked where the target stands.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A question about names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsCall {
    /// The addresses of a name, by the target's `hosts` and `resolv.conf` (search list and `ndots` included).
    Resolve {
        /// The name, without a service.
        name: String,
        /// Which addresses are wanted.
        family: Family,
    },
    /// The name of an address.
    Reverse(IpAddr),
    /// A whole DNS message (RFC 1035) for the target's name servers, answered as it comes.
    Message(serde_bytes::ByteBuf),
    /// A question by name, type and class, answered with a whole DNS message.
    Query {
        /// The name.
        name: String,
        /// Its type, as numbered by RFC 1035.
        kind: u16,
        /// Its class, as numbered by RFC 1035.
        class: u16,
        /// Whether the target's search list applies (`res_search(3)`) or not (`res_query(3)`).
        search: bool,
    },
}

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// Both kinds.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// The answer to a [`DnsCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsAnswer {
    /// To `Resolve`: addresses in the order of preference, at least one.
    Addresses {
        /// The canonical name, where the answer has one.
        canonical: Option<String>,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// To `Reverse`: names, at least one.
    Names(Vec<String>),
    /// To `Message` and `Query`.
    Message(serde_bytes::ByteBuf),
    /// There is no answer, and why.
    None(NoAnswer),
}

/// Why a name has no answer; each has its own number in `netdb.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoAnswer {
    /// There is no such name: `EAI_NONAME`, `HOST_NOT_FOUND`.
    NotFound,
    /// The name has no such record: `EAI_NODATA`, `NO_DATA`.
    NoData,
    /// The name servers did not answer in time: `EAI_AGAIN`, `TRY_AGAIN`.
    TryAgain,
    /// They answered with a failure: `EAI_FAIL`, `NO_RECOVERY`.
    Failed,
}
