//! Filters over destinations: `tcp://10.0.0.0/8:443`, `db.shop`, `:53`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// On which side a filter's destinations are reached; all others are reached from the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Through the target.
    There,
    /// From this machine.
    Here,
}

/// How a destination is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// By either.
    Any,
    /// By TCP.
    Tcp,
    /// By UDP.
    Udp,
}

/// Which host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Host {
    /// Every one.
    Any,
    /// One by its name, without a dot at its end, in lower case.
    Name(String),
    /// All addresses that share so many leading bits.
    Net(IpAddr, u8),
}

/// One entry of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How.
    pub protocol: Protocol,
    /// Which host.
    pub host: Host,
    /// Which port; 0 is every one.
    pub port: u16,
}

/// A filter as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFilter {
    /// Where its destinations are reached.
    pub side: Side,
    /// Its destinations.
    pub entries: Vec<Entry>,
}

/// What a filter knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It goes there, or stays here.
    Known(Side),
    /// A host name in the filter may mean this address: it must be resolved to know.
    AskNames,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::There => Self::Here,
            Self::Here => Self::There,
        }
    }
}

impl Entry {
    fn fits(&self, protocol: Protocol, port: u16) -> bool {
        (self.protocol == Protocol::Any || protocol == Protocol::Any || self.protocol == protocol)
            && (self.port == 0 || self.port == port)
    }

    fn has(&self, ip: IpAddr) -> bool {
        match &self.host {
            Host::Any => true,
            Host::Name(_) => false,
            Host::Net(net, bits) => same_prefix(*net, ip, *bits),
        }
    }
}

impl AddressFilter {
    /// Where an address is reached.
    #[must_use]
    pub fn decide(&self, protocol: Protocol, to: SocketAddr) -> Judgement {
        let ip = to.ip().to_canonical();
        let mut fitting = self.entries.iter().filter(|entry| entry.fits(protocol, to.port())).peekable();
        if fitting.clone().any(|entry| entry.has(ip)) {
            Judgement::Known(self.side)
        } else if fitting.any(|entry| matches!(entry.host, Host::Name(_))) {
            Judgement::AskNames
        } else {
            Judgement::Known(self.side.other())
        }
    }

    /// Where a name is asked; `port` is 0 where it is not known.
    #[must_use]
    pub fn decide_name(&self, name: &str, port: u16) -> Side {
        let name = name.trim_end_matches('.');
        let literal = name.parse::<IpAddr>().ok();
        let named =
            self.entries.iter().filter(|entry| entry.port == 0 || entry.port == port).any(
                |entry| match &entry.host {
                    Host::Name(host) => host.eq_ignore_ascii_case(name),
                    _ => literal.is_some_and(|ip| entry.has(ip)),
                },
            );
        if named { self.side } else { self.side.other() }
    }

    /// The host names whose addresses decide about this destination.
    pub fn names(&self, protocol: Protocol, port: u16) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |entry| entry.fits(protocol, port)).filter_map(|entry| {
            match &entry.host {
                Host::Name(name) => Some(name.as_str()),
                _ => None,
            }
        })
    }
}

fn same_prefix(net: IpAddr, ip: IpAddr, bits: u8) -> bool {
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            (net.to_bits() ^ ip.to_bits()).checked_shr(32 - u32::from(bits.min(32))).unwrap_or(0) == 0
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => {
            (net.to_bits() ^ ip.to_bits()).checked_shr(128 - u32::from(bits.min(128))).unwrap_or(0) == 0
        }
        _ => false,
    }
}
