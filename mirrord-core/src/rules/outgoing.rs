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
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the user's")]
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
    /// Whether loopback addresses stay here in processes of Next.js, whose workers meet there (`magic.turbo`).
    pub suits_next: bool,
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
    /// What the process changes in the rules: `arguments` are its own.
    pub fn suit<'a>(&mut self, arguments: impl IntoIterator<Item = &'a [u8]>) {
        let is_next = |argument: &[u8]| {
            let within = b"/next/dist/";
            argument == b"next"
                || argument.ends_with(b"/next")
                || argument.windows(within.len()).any(|window| window == within)
        };
        if self.suits_next && arguments.into_iter().any(is_next) {
            self.ignore_localhost = true;
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> OutgoingRules {
        OutgoingRules { tcp: true, udp: true, ..OutgoingRules::default() }
    }

    fn filtered(side: Side, entries: &[&str]) -> OutgoingRules {
        let entries = entries.iter().map(|text| text.parse().unwrap()).collect();
        OutgoingRules { filter: Some(AddressFilter { side, entries }), ..rules() }
    }

    fn decide(rules: &OutgoingRules, protocol: Protocol, to: &str) -> Verdict<Through> {
        rules.decide(protocol, to.parse().unwrap(), |port| port == 7777)
    }

    const TAKEN: Verdict<Through> = Verdict::Take(Through::Target);

    #[test]
    fn a_destination_is_reached_from_the_target() {
        assert_eq!(decide(&rules(), Protocol::Tcp, "10.0.0.1:80"), TAKEN);
        assert_eq!(decide(&rules(), Protocol::Udp, "[fd00::1]:53"), TAKEN);
        assert_eq!(decide(&rules(), Protocol::Tcp, "127.0.0.1:80"), TAKEN);
    }

    #[test]
    fn a_protocol_that_is_off_stays_here() {
        let tcp_only = OutgoingRules { udp: false, ..rules() };
        assert_eq!(decide(&tcp_only, Protocol::Udp, "10.0.0.1:53"), Verdict::Leave(Reason::Off));
        assert_eq!(decide(&tcp_only, Protocol::Tcp, "10.0.0.1:53"), TAKEN);
        assert_eq!(tcp_only.likely(Protocol::Udp), Side::Here);
        assert_eq!(tcp_only.likely(Protocol::Tcp), Side::There);
    }

    #[test]
    fn port_zero_is_nobodys() {
        assert_eq!(decide(&rules(), Protocol::Udp, "10.0.0.1:0"), Verdict::Leave(Reason::NotOurs));
    }

    #[test]
    fn loopback_stays_here_if_the_user_wants_it_in_every_spelling() {
        let rules = OutgoingRules { ignore_localhost: true, ..rules() };
        for to in ["127.0.0.1:80", "127.1.2.3:80", "[::1]:80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(decide(&rules, Protocol::Tcp, to), Verdict::Leave(Reason::Loopback), "{to}");
        }
        assert_eq!(decide(&rules, Protocol::Tcp, "10.0.0.1:80"), TAKEN);
    }

    #[test]
    fn a_listener_of_the_session_is_reached_here() {
        assert_eq!(decide(&rules(), Protocol::Tcp, "127.0.0.1:7777"), Verdict::Leave(Reason::OurOwnPort));
        assert_eq!(decide(&rules(), Protocol::Tcp, "10.0.0.1:7777"), TAKEN);
        assert_eq!(decide(&rules(), Protocol::Udp, "127.0.0.1:7777"), TAKEN);
    }

    #[test]
    fn a_filter_of_there_keeps_all_else_here() {
        let rules = filtered(Side::There, &["tcp://10.0.0.0/8"]);
        assert_eq!(decide(&rules, Protocol::Tcp, "10.1.1.1:80"), TAKEN);
        assert_eq!(decide(&rules, Protocol::Udp, "10.1.1.1:80"), Verdict::Leave(Reason::KeptByUser));
        assert_eq!(decide(&rules, Protocol::Tcp, "11.1.1.1:80"), Verdict::Leave(Reason::KeptByUser));
        assert_eq!(rules.likely(Protocol::Tcp), Side::Here);
    }

    #[test]
    fn a_filter_of_here_takes_all_else() {
        let rules = filtered(Side::Here, &["10.0.0.0/8"]);
        assert_eq!(decide(&rules, Protocol::Tcp, "10.1.1.1:80"), Verdict::Leave(Reason::KeptByUser));
        assert_eq!(decide(&rules, Protocol::Tcp, "11.1.1.1:80"), TAKEN);
        assert_eq!(rules.likely(Protocol::Tcp), Side::There);
    }

    #[test]
    fn a_name_in_a_filter_must_be_asked_for() {
        for side in [Side::There, Side::Here] {
            let rules = filtered(side, &["db.shop:5432"]);
            assert_eq!(decide(&rules, Protocol::Tcp, "10.1.1.1:5432"), Verdict::Take(Through::AskNames));
        }
    }

    #[test]
    fn loopback_of_next_stays_here_and_nobody_elses() {
        let after = |suits_next, arguments: &[&str]| {
            let mut rules = OutgoingRules { suits_next, ..rules() };
            rules.suit(arguments.iter().map(|argument| argument.as_bytes()));
            rules.ignore_localhost
        };
        assert!(after(true, &["node", "/app/node_modules/.bin/next", "dev"]));
        assert!(after(true, &["node", "/app/node_modules/next/dist/server/start.js"]));
        assert!(after(true, &["next", "dev"]));
        assert!(!after(true, &["node", "/app/nextcloud", "--next=1"]));
        assert!(!after(false, &["next", "dev"]));
    }

    #[test]
    fn only_unix_sockets_that_are_listed_are_the_targets() {
        let unix_streams = PatternSet::compile(&["^/var/run/docker", "^@abstract$"]).unwrap();
        let rules = OutgoingRules { unix_streams, ..rules() };
        assert_eq!(rules.decide_unix(b"/var/run/docker.sock"), Verdict::Take(()));
        assert_eq!(rules.decide_unix(b"@abstract"), Verdict::Take(()));
        assert_eq!(rules.decide_unix(b"/run/user/0/bus"), Verdict::Leave(Reason::NotListed));
    }
}
