//! Whether a destination is one of the names of a filter, as names are resolved now.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mirrord_core::{
    rules::{
        Rules,
        address::{Protocol, Side},
    },
    verdict::Verdict,
};
use mirrord_protocol::agent::{
    AgentAnswer, AgentCall,
    dns::{DnsAnswer, DnsCall, Family},
};

use super::agent::Agent;

/// For how long an answer is believed.
const LIFETIME: Duration = Duration::from_secs(10);

/// For how long a name that the guest resolved means what it meant then.
const SPOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// The addresses of the names in `outgoing.filter`.
#[derive(Debug, Default)]
pub(crate) struct Names {
    resolved: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
    spoken: Mutex<HashMap<String, HashMap<IpAddr, Instant>>>,
}

impl Names {
    /// Whether a destination is reached from there.
    pub(crate) async fn judge(&self, rules: &Rules, agent: &Agent, datagram: bool, to: SocketAddr) -> bool {
        let Some(filter) = &rules.outgoing.filter else { return true };
        let protocol = if datagram { Protocol::Udp } else { Protocol::Tcp };
        let ip = to.ip().to_canonical();
        for name in filter.names(protocol, to.port()) {
            if self.was_spoken(name, ip) || self.resolve(rules, agent, name).await.contains(&ip) {
                return filter.side == Side::There;
            }
        }
        filter.side.other() == Side::There
    }

    /// Notes what the guest was told about a name, if a filter has it.
    pub(crate) fn record(&self, rules: &Rules, name: &str, addresses: &[IpAddr]) {
        let Some(filter) = &rules.outgoing.filter else { return };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if !has_name(filter, &name) {
            return;
        }
        let mut spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        let known = spoken.entry(name).or_default();
        let now = Instant::now();
        known.retain(|_, since| now.duration_since(*since) < SPOKEN_LIFETIME);
        known.extend(addresses.iter().map(|ip| (ip.to_canonical(), now)));
    }

    fn was_spoken(&self, name: &str, ip: IpAddr) -> bool {
        let spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        let since = spoken.get(name).and_then(|known| known.get(&ip));
        since.is_some_and(|since| since.elapsed() < SPOKEN_LIFETIME)
    }

    async fn resolve(&self, rules: &Rules, agent: &Agent, name: &str) -> Vec<IpAddr> {
        let cached = {
            let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
            resolved.get(name).filter(|(since, _)| since.elapsed() < LIFETIME).map(|(_, known)| known.clone())
        };
        if let Some(known) = cached {
            return known;
        }
        let addresses = match rules.dns.decide(name, 0) {
            Verdict::Take(()) => resolve_there(agent, name).await,
            _ => resolve_here(name).await,
        };
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.insert(name.to_owned(), (Instant::now(), addresses.clone()));
        addresses
    }
}

fn has_name(filter: &mirrord_core::rules::address::AddressFilter, name: &str) -> bool {
    use mirrord_core::rules::address::Host;
    filter.entries.iter().any(|entry| matches!(&entry.host, Host::Name(host) if host == name))
}

async fn resolve_there(agent: &Agent, name: &str) -> Vec<IpAddr> {
    let call = AgentCall::Dns(DnsCall::Resolve { name: name.to_owned(), family: Family::Any });
    match agent.call(call, None).await {
        Ok((AgentAnswer::Dns(DnsAnswer::Addresses { addresses, .. }), _)) => {
            addresses.into_iter().map(|ip| ip.to_canonical()).collect()
        }
        _ => Vec::new(),
    }
}

async fn resolve_here(name: &str) -> Vec<IpAddr> {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(addresses) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Err(_) => Vec::new(),
    }
}
