//! Ports and places as `port-forward` is told them.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use thiserror::Error;

/// A place that can be connected to: a name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// The name or the address, an IPv6 one without its brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

/// `-L`: a port here, and where its connections go to from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    /// The port of 127.0.0.1.
    pub(crate) local: u16,
    /// The place.
    pub(crate) to: HostPort,
}

/// `-R`: a port of the target, and where its connections go to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reverse {
    /// The target's port.
    pub(crate) remote: u16,
    /// The port of this machine.
    pub(crate) local: u16,
}

/// Why a text is no mapping: the user's fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum MappingError {
    #[error("`{0}` is not a port: a number from 1 to 65535")]
    NotAPort(String),
    #[error("`{0}` names no port after its host")]
    NoPort(String),
    #[error("`{0}` names no host before its port")]
    NoHost(String),
    #[error("`{0}` has more in it than {1}; an IPv6 address stands in brackets")]
    TooMuch(String, &'static str),
}

fn port(text: &str) -> Result<u16, MappingError> {
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(MappingError::NotAPort(text.to_owned())),
    }
}

impl FromStr for HostPort {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let (host, number) = text.rsplit_once(':').ok_or_else(|| MappingError::NoPort(text.to_owned()))?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            Some(_) => return Err(MappingError::NoHost(text.to_owned())),
            None if host.contains([':', '[', ']', '/', ' ']) => {
                return Err(MappingError::TooMuch(text.to_owned(), "HOST:PORT"));
            }
            None => host,
        };
        if host.is_empty() {
            return Err(MappingError::NoHost(text.to_owned()));
        }
        Ok(Self { host: host.to_owned(), port: port(number)? })
    }
}

impl FromStr for Forward {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once(':') {
            // `80:90` is a host that looks like a port: nobody means that.
            Some((local, place)) if is_number(local) && place.contains(':') => {
                Ok(Self { local: port(local)?, to: place.parse()? })
            }
            Some((local, place)) if is_number(local) && is_number(place) => {
                Err(MappingError::NoHost(text.to_owned()))
            }
            _ => {
                let to: HostPort = text.parse()?;
                Ok(Self { local: to.port, to })
            }
        }
    }
}

impl FromStr for Reverse {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let mut parts = text.split(':').map(port);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(both), None, _) => both.map(|both| Self { remote: both, local: both }),
            (Some(remote), Some(local), None) => Ok(Self { remote: remote?, local: local? }),
            _ => Err(MappingError::TooMuch(text.to_owned(), "TARGET_PORT:LOCAL_PORT")),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> (u16, String) {
        let Forward { local, to } = text.parse().unwrap();
        (local, to.to_string())
    }

    #[test]
    fn a_forward_is_a_place_and_perhaps_another_port_here() {
        assert_eq!(forward("db:5432"), (5432, "db:5432".into()));
        assert_eq!(forward("15432:db.shop.svc:5432"), (15432, "db.shop.svc:5432".into()));
        assert_eq!(forward("8080:10.0.0.7:80"), (8080, "10.0.0.7:80".into()));
        assert_eq!(forward("8080:[fd00::7]:80"), (8080, "[fd00::7]:80".into()));
        assert_eq!(forward("[::1]:80"), (80, "[::1]:80".into()));
    }

    #[test]
    fn a_reverse_is_a_port_there_and_perhaps_another_here() {
        assert_eq!("80".parse(), Ok(Reverse { remote: 80, local: 80 }));
        assert_eq!("80:8080".parse(), Ok(Reverse { remote: 80, local: 8080 }));
    }

    #[test]
    fn what_is_no_mapping_says_why() {
        let forward = |text: &str| text.parse::<Forward>().unwrap_err();
        assert_eq!(forward("db"), MappingError::NoPort("db".into()));
        assert_eq!(forward("80:90"), MappingError::NoHost("80:90".into()));
        assert_eq!(forward("0:db:80"), MappingError::NotAPort("0".into()));
        assert_eq!(forward("80:db:0"), MappingError::NotAPort("0".into()));
        assert_eq!(forward("80:db:65536"), MappingError::NotAPort("65536".into()));
        assert_eq!(forward("fd00::7:80"), MappingError::TooMuch("fd00::7:80".into(), "HOST:PORT"));
        let reverse = |text: &str| text.parse::<Reverse>().unwrap_err();
        assert_eq!(reverse("a:80"), MappingError::NotAPort("a".into()));
        assert_eq!(reverse("80:-1"), MappingError::NotAPort("-1".into()));
        assert_eq!(reverse("1:2:3"), MappingError::TooMuch("1:2:3".into(), "TARGET_PORT:LOCAL_PORT"));
    }
}
