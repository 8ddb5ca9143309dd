//! `feature.network` into rules for both directions, and for names.

use std::collections::BTreeSet;

use mirrord_core::rules::{
    address::{AddressFilter, Entry, Host, Protocol, Side},
    dns::DnsRules,
    incoming::IncomingRules,
    outgoing::OutgoingRules,
};
use mirrord_protocol::agent::incoming::Wish;

use super::{Lowering, Presence};
use crate::section::{incoming::Mode, outgoing::Filter};

const INCOMING: &str = "feature.network.incoming";
const OUTGOING_FILTER: &str = "feature.network.outgoing.filter";
const DNS_FILTER: &str = "feature.network.dns.filter";

impl Lowering<'_, '_> {
    pub(super) fn incoming(&mut self, presence: Presence) -> IncomingRules {
        let incoming = &self.settings.file.feature.network.incoming;
        if presence == Presence::Targetless && incoming.mode == Mode::Steal {
            let message = "nothing can be stolen without a target".to_owned();
            let hint = "name a target with `--target`, or set `feature.network.incoming` to `off`".to_owned();
            self.problem(&format!("{INCOMING}.mode"), message, Some(hint));
        }
        if incoming.ports.is_some() && incoming.ignore_ports.is_some() {
            let message = format!("`{INCOMING}.ports` and `{INCOMING}.ignore_ports` contradict each other");
            self.problem(
                &format!("{INCOMING}.ignore_ports"),
                message,
                Some("use only one of them".to_owned()),
            );
        }
        if incoming.tls_delivery.is_some() && incoming.https_delivery.is_some() {
            let message =
                format!("`{INCOMING}.https_delivery` is the older name of `tls_delivery`: both are set");
            self.problem(&format!("{INCOMING}.https_delivery"), message, None);
        }
        let ports = incoming.ports.as_ref().map(|ports| self.ports("ports", ports));
        let ignore_ports = self.ports("ignore_ports", incoming.ignore_ports.as_deref().unwrap_or_default());
        let port_mapping = self.port_pairs("port_mapping", incoming.port_mapping.as_deref());
        let listen_ports = self.port_pairs("listen_ports", incoming.listen_ports.as_deref());
        IncomingRules {
            wish: match (presence, incoming.mode) {
                (Presence::Targetless, _) | (_, Mode::Off) => None,
                (_, Mode::Mirror) => Some(Wish::Mirror),
                (_, Mode::Steal) => Some(Wish::Steal),
            },
            ports,
            ignore_ports,
            ignore_localhost: incoming.ignore_localhost,
            port_mapping,
            listen_ports,
        }
    }

    fn ports(&mut self, name: &str, ports: &[u16]) -> BTreeSet<u16> {
        if let Some(index) = ports.iter().position(|port| *port == 0) {
            self.problem(
                &format!("{INCOMING}.{name}[{index}]"),
                format!("`{INCOMING}.{name}`: 0 is no port"),
                None,
            );
        }
        ports.iter().copied().collect()
    }

    /// Pairs in which no port stands twice on the same side.
    fn port_pairs(&mut self, name: &str, pairs: Option<&[(u16, u16)]>) -> Vec<(u16, u16)> {
        let pairs = pairs.unwrap_or_default();
        let key = format!("{INCOMING}.{name}");
        for (index, (from, to)) in pairs.iter().enumerate() {
            let place = format!("{key}[{index}]");
            let twice = |port: &u16, side: fn(&(u16, u16)) -> u16| {
                pairs[..index].iter().any(|pair| side(pair) == *port)
            };
            let repeated = if twice(from, |pair| pair.0) {
                Some(from)
            } else if twice(to, |pair| pair.1) {
                Some(to)
            } else {
                None
            };
            if let Some(port) = repeated {
                self.problem(&place, format!("`{key}` has port {port} twice on the same side"), None);
            } else if *from == 0 || *to == 0 {
                self.problem(&place, format!("`{key}`: 0 is no port"), None);
            } else if from == to && name == "port_mapping" {
                self.warn(&place, &format!("`{key}` maps port {from} to itself"));
            }
        }
        pairs.to_vec()
    }

    pub(super) fn outgoing(&mut self) -> OutgoingRules {
        let outgoing = &self.settings.file.feature.network.outgoing;
        let filter = self.filter(OUTGOING_FILTER, outgoing.filter.as_ref());
        if filter.is_some() && !outgoing.tcp && !outgoing.udp {
            self.warn(
                OUTGOING_FILTER,
                &format!("`{OUTGOING_FILTER}` has no effect: no connection goes there"),
            );
        }
        OutgoingRules {
            tcp: outgoing.tcp,
            udp: outgoing.udp,
            ignore_localhost: outgoing.ignore_localhost,
            suits_next: self.settings.file.feature.magic.turbo,
            filter,
            unix_streams: self
                .patterns("feature.network.outgoing.unix_streams", outgoing.unix_streams.as_ref()),
        }
    }

    /// Names, once it is known which destinations the outgoing filter names.
    pub(super) fn dns(&mut self, outgoing: &OutgoingRules) -> DnsRules {
        let dns = &self.settings.file.feature.network.dns;
        let own = self.filter(DNS_FILTER, dns.filter.as_ref());
        if own.is_some() && !dns.enabled {
            self.warn(DNS_FILTER, &format!("`{DNS_FILTER}` has no effect: `feature.network.dns` is off"));
        }
        let filter = match &outgoing.filter {
            Some(outgoing) => self.with_hosts_of(outgoing, own, dns.enabled),
            None => own,
        };
        DnsRules { enabled: dns.enabled, filter }
    }

    /// A host of the outgoing filter must be resolved on the side from which it is reached, or its address is
    /// another one's.
    fn with_hosts_of(
        &mut self,
        outgoing: &AddressFilter,
        own: Option<AddressFilter>,
        enabled: bool,
    ) -> Option<AddressFilter> {
        let is_name = |entry: &&Entry| matches!(entry.host, Host::Name(_));
        let hosts = outgoing.entries.iter().filter(is_name);
        let hosts: Vec<_> =
            hosts.map(|entry| Entry { protocol: Protocol::Any, host: entry.host.clone(), port: 0 }).collect();
        match own {
            _ if hosts.is_empty() => own,
            _ if !enabled => {
                if outgoing.side == Side::There {
                    let message = format!(
                        "`{OUTGOING_FILTER}` names hosts of the target, but their addresses are asked here: \
                         `feature.network.dns` is off"
                    );
                    self.warn(OUTGOING_FILTER, &message);
                }
                own
            }
            Some(mut filter) if filter.side == outgoing.side => {
                let new = hosts.into_iter().filter(|host| !filter.entries.contains(host));
                let new: Vec<_> = new.collect();
                filter.entries.extend(new);
                Some(filter)
            }
            Some(_) => {
                let message = format!(
                    "`{OUTGOING_FILTER}` and `{DNS_FILTER}` list opposite sides: hosts of the first may be \
                     resolved on the wrong one"
                );
                self.warn(OUTGOING_FILTER, &message);
                own
            }
            None if outgoing.side == Side::Here => Some(AddressFilter { side: Side::Here, entries: hosts }),
            None => None,
        }
    }

    /// A filter, unless it is empty.
    fn filter(&mut self, key: &str, filter: Option<&Filter>) -> Option<AddressFilter> {
        let filter = filter?;
        let (side, name, list) = match (&filter.remote, &filter.local) {
            (Some(_), Some(_)) => {
                let message = format!("`{key}` has both `remote` and `local`");
                self.problem(
                    key,
                    message,
                    Some("use only one of them: all else is on the other side".to_owned()),
                );
                return None;
            }
            (Some(list), None) => (Side::There, "remote", list),
            (None, Some(list)) => (Side::Here, "local", list),
            (None, None) => {
                self.warn(key, &format!("`{key}` is empty, and has no effect"));
                return None;
            }
        };
        let mut entries = Vec::new();
        for (index, text) in list.iter().enumerate() {
            match text.parse::<Entry>() {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    let hint = "an entry is `[tcp://|udp://|any://]HOST[:PORT]`, where HOST is a name, an address \
                                or a network such as `10.0.0.0/8`";
                    self.problem(
                        &format!("{key}.{name}[{index}]"),
                        format!("`{key}.{name}`: {error}"),
                        Some(hint.to_owned()),
                    );
                }
            }
        }
        if list.is_empty() {
            self.warn(key, &format!("`{key}.{name}` is empty, and has no effect"));
            return None;
        }
        Some(AddressFilter { side, entries })
    }
}
