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
    /// The only ports (as there) that are wanted, if the user lists them.
    pub ports: Option<BTreeSet<u16>>,
    /// Ports (as the program asks for) that are not wanted.
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
        let wanted = self.ports.as_ref().is_none_or(|ports| ports.contains(&port));
        if !wanted || self.ignore_ports.contains(&requested.port()) || self.ignore_ports.contains(&port) {
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
