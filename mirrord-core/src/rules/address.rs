//! Filters over destinations: `tcp://10.0.0.0/8:443`, `db.shop`, `:53`.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
                    Host::Any => true,
                    Host::Name(host) => host.eq_ignore_ascii_case(name),
                    Host::Net(..) => literal.is_some_and(|ip| entry.has(ip)),
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

/// Why a text is no entry of a filter: the user's fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EntryError {
    /// It names neither a host nor a port.
    #[error("`{0}` names neither a host nor a port")]
    Nothing(String),
    /// Before `://` stands no protocol.
    #[error("`{0}` is not `tcp`, `udp` or `any`")]
    Protocol(String),
    /// Behind the last colon stands no port.
    #[error("`{0}` is not a port")]
    Port(String),
    /// The host is neither a name nor an address.
    #[error("`{0}` is neither a host name nor an address")]
    Host(String),
    /// The number of leading bits is too large, or none.
    #[error("`/{0}` is not a number of leading bits")]
    Bits(String),
}

impl FromStr for Entry {
    type Err = EntryError;

    /// `[tcp://|udp://|any://]HOST[:PORT]`, or `:PORT` for every host.
    fn from_str(text: &str) -> Result<Self, EntryError> {
        let (protocol, rest) = match text.split_once("://") {
            None => (Protocol::Any, text),
            Some((word, rest)) => match word.to_ascii_lowercase().as_str() {
                "any" => (Protocol::Any, rest),
                "tcp" => (Protocol::Tcp, rest),
                "udp" => (Protocol::Udp, rest),
                _ => return Err(EntryError::Protocol(word.to_owned())),
            },
        };
        let (host, port) = split_port(rest);
        let port = port
            .map(|port| parse_decimal(port).ok_or_else(|| EntryError::Port(port.to_owned())))
            .transpose()?;
        if host.is_empty() {
            return match port {
                Some(port) => Ok(Self { protocol, host: Host::Any, port }),
                None => Err(EntryError::Nothing(text.to_owned())),
            };
        }
        Ok(Self { protocol, host: parse_host(host)?, port: port.unwrap_or(0) })
    }
}

/// A host and its port. More than one colon without brackets is an IPv6 address.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let after_bracket = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text[after_bracket..].find(':').map(|colon| after_bracket + colon) {
        Some(colon) if after_bracket > 0 || !text[colon + 1..].contains(':') => {
            (&text[..colon], Some(&text[colon + 1..]))
        }
        _ => (text, None),
    }
}

fn parse_host(text: &str) -> Result<Host, EntryError> {
    // Both `[fd00::/8]` and `[fd00::]/8` are written.
    let plain = text.strip_prefix('[').map_or_else(|| text.to_owned(), |rest| rest.replacen(']', "", 1));
    let (address, bits) = match plain.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (plain.as_str(), None),
    };
    match (address.parse::<IpAddr>(), bits) {
        (Ok(ip), None) => Ok(net(ip, width(ip))),
        (Ok(ip), Some(bits)) => match parse_decimal::<u8>(bits) {
            Some(n_bits) if n_bits <= width(ip) => Ok(net(ip, n_bits)),
            _ => Err(EntryError::Bits(bits.to_owned())),
        },
        (Err(_), None) if !text.starts_with('[') && is_name(address) => {
            Ok(Host::Name(address.trim_end_matches('.').to_ascii_lowercase()))
        }
        (Err(_), _) => Err(EntryError::Host(text.to_owned())),
    }
}

/// A network; one of IPv4 addresses mapped into IPv6 is the one of IPv4.
fn net(ip: IpAddr, bits: u8) -> Host {
    match ip {
        IpAddr::V6(v6) if bits >= 96 => match v6.to_ipv4_mapped() {
            Some(v4) => Host::Net(IpAddr::V4(v4), bits - 96),
            None => Host::Net(ip, bits),
        },
        _ => Host::Net(ip, bits),
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Whether a text can be a name that a resolver is asked for. One whose last part is a number is a broken address.
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii())
    };
    let ends_in_number =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(is_label) && !ends_in_number
}

/// A number written in digits alone.
fn parse_decimal<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    fn filter(side: Side, entries: &[&str]) -> AddressFilter {
        AddressFilter { side, entries: entries.iter().map(|text| entry(text)).collect() }
    }

    fn v4(bits: u8, text: &str) -> Host {
        Host::Net(text.parse().unwrap(), bits)
    }

    #[test]
    fn an_entry_is_a_protocol_a_host_and_a_port_of_which_most_may_be_absent() {
        let made = |protocol, host, port| Entry { protocol, host, port };
        let name = |text: &str| Host::Name(text.to_owned());
        let all = [
            ("tcp://10.0.0.0/8:443", made(Protocol::Tcp, v4(8, "10.0.0.0"), 443)),
            ("udp://10.0.0.1", made(Protocol::Udp, v4(32, "10.0.0.1"), 0)),
            ("any://DB.Shop.:5432", made(Protocol::Any, name("db.shop"), 5432)),
            (":53", made(Protocol::Any, Host::Any, 53)),
            ("tcp://:53", made(Protocol::Tcp, Host::Any, 53)),
            ("db_1:0", made(Protocol::Any, name("db_1"), 0)),
            ("::1", made(Protocol::Any, v4(128, "::1"), 0)),
            ("[::1]:80", made(Protocol::Any, v4(128, "::1"), 80)),
            ("[fd00::/8]:80", made(Protocol::Any, v4(8, "fd00::"), 80)),
            ("[fd00::]/8", made(Protocol::Any, v4(8, "fd00::"), 0)),
            ("[::ffff:10.0.0.0]/104", made(Protocol::Any, v4(8, "10.0.0.0"), 0)),
            ("0.0.0.0/0", made(Protocol::Any, v4(0, "0.0.0.0"), 0)),
        ];
        for (text, expected) in all {
            assert_eq!(entry(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_entry_says_why() {
        let why = |text: &str| text.parse::<Entry>().unwrap_err();
        assert_eq!(why(""), EntryError::Nothing(String::new()));
        assert_eq!(why("tcp://"), EntryError::Nothing("tcp://".into()));
        assert_eq!(why("http://db"), EntryError::Protocol("http".into()));
        assert_eq!(why("db:http"), EntryError::Port("http".into()));
        assert_eq!(why("db:"), EntryError::Port(String::new()));
        assert_eq!(why("db:65536"), EntryError::Port("65536".into()));
        assert_eq!(why("10.0.0.0/33"), EntryError::Bits("33".into()));
        assert_eq!(why("10.0.0.0/+8"), EntryError::Bits("+8".into()));
        assert_eq!(why("10.0.0.256"), EntryError::Host("10.0.0.256".into()));
        assert_eq!(why("*.shop"), EntryError::Host("*.shop".into()));
        assert_eq!(why("db/8"), EntryError::Host("db/8".into()));
        assert_eq!(why("[db]:80"), EntryError::Host("[db]".into()));
        assert_eq!(why("a b"), EntryError::Host("a b".into()));
    }

    #[test]
    fn a_filter_knows_its_destinations_and_all_others() {
        let only = filter(Side::There, &["tcp://10.0.0.0/8:443", "[fd00::/8]"]);
        let decide = |protocol, to: &str| only.decide(protocol, to.parse().unwrap());
        assert_eq!(decide(Protocol::Tcp, "10.9.9.9:443"), Judgement::Known(Side::There));
        assert_eq!(decide(Protocol::Tcp, "[::ffff:10.9.9.9]:443"), Judgement::Known(Side::There));
        assert_eq!(decide(Protocol::Tcp, "[fdff::1]:1"), Judgement::Known(Side::There));
        assert_eq!(decide(Protocol::Tcp, "10.9.9.9:80"), Judgement::Known(Side::Here));
        assert_eq!(decide(Protocol::Udp, "10.9.9.9:443"), Judgement::Known(Side::Here));
        assert_eq!(decide(Protocol::Tcp, "11.0.0.1:443"), Judgement::Known(Side::Here));
        assert_eq!(decide(Protocol::Tcp, "[fe00::1]:1"), Judgement::Known(Side::Here));
    }

    #[test]
    fn all_but_what_a_filter_keeps_here_goes_there() {
        let but = filter(Side::Here, &["0.0.0.0/0:80"]);
        assert_eq!(but.decide(Protocol::Tcp, "1.2.3.4:80".parse().unwrap()), Judgement::Known(Side::Here));
        assert_eq!(but.decide(Protocol::Tcp, "1.2.3.4:81".parse().unwrap()), Judgement::Known(Side::There));
        assert_eq!(but.decide(Protocol::Tcp, "[::1]:80".parse().unwrap()), Judgement::Known(Side::There));
    }

    #[test]
    fn a_host_name_must_be_asked_unless_an_address_decides() {
        let named = filter(Side::There, &["db.shop:5432", "10.0.0.1"]);
        let decide = |to: &str| named.decide(Protocol::Tcp, to.parse().unwrap());
        assert_eq!(decide("10.0.0.1:5432"), Judgement::Known(Side::There));
        assert_eq!(decide("10.0.0.2:5432"), Judgement::AskNames);
        assert_eq!(decide("10.0.0.2:80"), Judgement::Known(Side::Here));
        assert_eq!(named.names(Protocol::Tcp, 5432).collect::<Vec<_>>(), ["db.shop"]);
        assert_eq!(named.names(Protocol::Tcp, 80).count(), 0);
    }

    #[test]
    fn a_name_is_asked_where_its_entry_says() {
        let named = filter(Side::There, &["db.shop", "api:443", "10.0.0.0/8", "any://:99"]);
        assert_eq!(named.decide_name("DB.shop.", 0), Side::There);
        assert_eq!(named.decide_name("db.shop.example", 0), Side::Here);
        assert_eq!(named.decide_name("api", 443), Side::There);
        assert_eq!(named.decide_name("api", 80), Side::Here);
        assert_eq!(named.decide_name("10.1.2.3", 0), Side::There);
        assert_eq!(named.decide_name("whatever", 99), Side::There);
    }
}
