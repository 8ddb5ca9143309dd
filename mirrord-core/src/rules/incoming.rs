//! Which ports are stolen, mirrored or left, and where they land here.

use std::{collections::BTreeSet, net::SocketAddr};

use mirrord_protocol::agent::incoming::{Port, Wish};
use serde::{Deserialize, Serialize};

use crate::{
    addr,
    verdict::{Reason, Verdict},
};

/// What `feature.network.incoming` says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IncomingRules {
    /// Steal or mirror; nothing if off, or without a target.
    pub wish: Option<Wish>,
    /// The only ports that are wanted, if the user lists them: as the program asks for them, or as they are there.
    pub ports: Option<BTreeSet<u16>>,
    /// Ports that are not wanted: as the program asks for them, or as they are there.
    pub ignore_ports: BTreeSet<u16>,
    /// Whether listeners on loopback addresses stay the developer's own.
    pub ignore_localhost: bool,
    /// Pairs of a port here and the one there that it stands for.
    pub port_mapping: Vec<(u16, u16)>,
    /// Pairs of the port that the program asks for and the one on which it really listens.
    pub listen_ports: Vec<(u16, u16)>,
}

/// A listener that is subscribed: how, and to which port of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Steal or mirror.
    pub wish: Wish,
    /// The port there.
    pub port: Port,
}

impl IncomingRules {
    /// Whether a listener's port is subscribed. `requested` is what the program asked for, with the port that a
    /// request for port 0 was given.
    #[must_use]
    pub fn decide(&self, requested: SocketAddr) -> Verdict<Subscription> {
        let Some(wish) = self.wish else { return Verdict::Leave(Reason::Off) };
        if self.ignore_localhost && requested.ip().to_canonical().is_loopback() {
            return Verdict::Leave(Reason::Loopback);
        }
        let port = self.port_there(requested.port());
        let has = |ports: &BTreeSet<u16>| ports.contains(&requested.port()) || ports.contains(&port);
        if !self.ports.as_ref().is_none_or(has) || has(&self.ignore_ports) {
            return Verdict::Leave(Reason::PortNotWanted);
        }
        Verdict::Take(Subscription { wish, port: Port(port) })
    }

    /// The addresses to try, in this order, for a listener that asked for one.
    ///
    /// A port that is taken here must not stop a program that would get it there, so others are tried after it;
    /// a port of `listen_ports` is an order. What is not subscribed is bound as asked, or not at all.
    #[must_use]
    pub fn places(&self, requested: SocketAddr) -> Vec<SocketAddr> {
        let with_port = |port| SocketAddr::new(requested.ip(), port);
        if let Some((_, real)) = self.listen_ports.iter().find(|(asked, _)| *asked == requested.port()) {
            return vec![with_port(*real)];
        }
        let mut places = vec![requested];
        if requested.port() != 0 && matches!(self.decide(requested), Verdict::Take(_)) {
            places.push(with_port(0));
            if !addr::is_loopback(requested.ip()) {
                let loopback = match requested {
                    SocketAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
                    SocketAddr::V6(_) => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0)),
                };
                places.extend([SocketAddr::new(loopback.ip(), requested.port()), loopback]);
            }
        }
        places
    }

    fn port_there(&self, here: u16) -> u16 {
        self.port_mapping.iter().find(|(local, _)| *local == here).map_or(here, |(_, there)| *there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stealing() -> IncomingRules {
        IncomingRules { wish: Some(Wish::Steal), ..IncomingRules::default() }
    }

    fn decide(rules: &IncomingRules, requested: &str) -> Verdict<Subscription> {
        rules.decide(requested.parse().unwrap())
    }

    fn taken(port: u16) -> Verdict<Subscription> {
        Verdict::Take(Subscription { wish: Wish::Steal, port: Port(port) })
    }

    fn places(rules: &IncomingRules, requested: &str) -> Vec<String> {
        rules.places(requested.parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    const UNWANTED: Verdict<Subscription> = Verdict::Leave(Reason::PortNotWanted);

    #[test]
    fn a_listener_is_subscribed_as_the_user_wishes() {
        assert_eq!(decide(&stealing(), "0.0.0.0:80"), taken(80));
        assert_eq!(decide(&IncomingRules::default(), "0.0.0.0:80"), Verdict::Leave(Reason::Off));
    }

    #[test]
    fn only_listed_ports_are_wanted_by_either_of_their_numbers() {
        let ports = Some([80, 3001].into());
        let rules = IncomingRules { ports, port_mapping: vec![(3000, 80), (3001, 81)], ..stealing() };
        assert_eq!(decide(&rules, "0.0.0.0:3000"), taken(80));
        assert_eq!(decide(&rules, "0.0.0.0:3001"), taken(81));
        assert_eq!(decide(&rules, "0.0.0.0:8080"), UNWANTED);
    }

    #[test]
    fn ignored_ports_stay_here_by_either_of_their_numbers() {
        let ignore_ports = [81, 3000].into();
        let rules = IncomingRules { ignore_ports, port_mapping: vec![(3000, 80), (3001, 81)], ..stealing() };
        assert_eq!(decide(&rules, "0.0.0.0:3000"), UNWANTED);
        assert_eq!(decide(&rules, "0.0.0.0:3001"), UNWANTED);
        assert_eq!(decide(&rules, "0.0.0.0:80"), taken(80));
    }

    #[test]
    fn listeners_on_loopback_stay_here_if_the_user_wants_it() {
        let rules = IncomingRules { ignore_localhost: true, ..stealing() };
        assert_eq!(decide(&rules, "127.0.0.1:80"), Verdict::Leave(Reason::Loopback));
        assert_eq!(decide(&rules, "[::ffff:127.0.0.1]:80"), Verdict::Leave(Reason::Loopback));
        assert_eq!(decide(&rules, "[::1]:80"), Verdict::Leave(Reason::Loopback));
        assert_eq!(decide(&rules, "0.0.0.0:80"), taken(80));
        assert_eq!(decide(&stealing(), "127.0.0.1:80"), taken(80));
    }

    #[test]
    fn a_port_that_is_taken_here_does_not_stop_a_subscribed_listener() {
        assert_eq!(places(&stealing(), "0.0.0.0:80"), ["0.0.0.0:80", "0.0.0.0:0"]);
        let of_the_target = ["10.0.0.9:80", "10.0.0.9:0", "127.0.0.1:80", "127.0.0.1:0"];
        assert_eq!(places(&stealing(), "10.0.0.9:80"), of_the_target);
        assert_eq!(
            places(&stealing(), "[fd00::9]:80"),
            ["[fd00::9]:80", "[fd00::9]:0", "[::1]:80", "[::1]:0"]
        );
    }

    #[test]
    fn what_is_not_subscribed_is_bound_as_asked_or_not_at_all() {
        assert_eq!(places(&IncomingRules::default(), "0.0.0.0:80"), ["0.0.0.0:80"]);
        assert_eq!(places(&stealing(), "0.0.0.0:0"), ["0.0.0.0:0"]);
    }

    #[test]
    fn a_port_of_listen_ports_is_an_order() {
        let rules = IncomingRules { listen_ports: vec![(80, 18080)], ..stealing() };
        assert_eq!(places(&rules, "0.0.0.0:80"), ["0.0.0.0:18080"]);
        assert_eq!(decide(&rules, "0.0.0.0:80"), taken(80));
        assert_eq!(places(&rules, "0.0.0.0:81"), ["0.0.0.0:81", "0.0.0.0:0"]);
    }
}
