//! Which destinations are reached from the target.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    address::{AddressFilter, Judgement, Protocol, Side},
    pattern::PatternSet,
};
use crate::{
    addr,
    verdict::{Reason, Verdict},
};

/// What `feature.network.outgoing` says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OutgoingRules {
    /// Whether TCP goes there.
    pub tcp: bool,
    /// Whether UDP goes there.
    pub udp: bool,
    /// Whether loopback addresses stay here.
    pub ignore_localhost: bool,
    /// Which destinations go there, if not all.
    pub filter: Option<AddressFilter>,
    /// Paths (or abstract names) of unix sockets that are the target's.
    pub unix_streams: PatternSet,
}

/// How certain it is that a destination is reached from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// It is.
    Target,
    /// If a host name of the filter means its address, which the proxy finds out.
    AskNames,
}

impl OutgoingRules {
    /// Where a destination is reached. `is_ours` tells whether the session itself listens on a TCP port here.
    #[must_use]
    pub fn decide(
        &self,
        protocol: Protocol,
        to: SocketAddr,
        is_ours: impl Fn(u16) -> bool,
    ) -> Verdict<Through> {
        let enabled = match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
            Protocol::Any => self.tcp || self.udp,
        };
        if !enabled {
            return Verdict::Leave(Reason::Off);
        }
        if to.port() == 0 {
            return Verdict::Leave(Reason::NotOurs);
        }
        if addr::is_loopback(to.ip()) {
            if self.ignore_localhost {
                return Verdict::Leave(Reason::Loopback);
            }
            if protocol != Protocol::Udp && is_ours(to.port()) {
                return Verdict::Leave(Reason::OurOwnPort);
            }
        }
        match self.filter.as_ref().map(|filter| filter.decide(protocol, to)) {
            None | Some(Judgement::Known(Side::There)) => Verdict::Take(Through::Target),
            Some(Judgement::AskNames) => Verdict::Take(Through::AskNames),
            Some(Judgement::Known(Side::Here)) => Verdict::Leave(Reason::KeptByUser),
        }
    }

    /// Where a new socket is best made, before anybody knows its destination.
    #[must_use]
    pub fn likely(&self, protocol: Protocol) -> Side {
        let enabled = match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
            Protocol::Any => self.tcp || self.udp,
        };
        match &self.filter {
            _ if !enabled => Side::Here,
            Some(filter) => filter.side.other(),
            None => Side::There,
        }
    }

    /// Whether a unix socket is the target's: by its path, or by its abstract name behind an `@`.
    #[must_use]
    pub fn decide_unix(&self, name: &[u8]) -> Verdict<()> {
        if self.unix_streams.is_match(name) { Verdict::Take(()) } else { Verdict::Leave(Reason::NotListed) }
    }
}
