//! What the target's `resolv.conf` says: name servers, the search list, patience.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{proto::rr::Name, system_conf::parse_resolv_conf};

use crate::{args::DnsOptions, fs::Root};

/// The most name servers that are asked (`MAXNS` of `resolv.h`).
const MAX_SERVERS: usize = 3;

/// The target's files about names, as they are now.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `hosts(5)`, as it is written.
    pub(super) hosts: String,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) timeout: Duration,
    pub(super) attempts: usize,
    search: Vec<Name>,
    ndots: usize,
}

impl Config {
    /// Reads the files beneath the target's root; what is not there says nothing.
    pub(crate) fn read(root: &Root) -> Self {
        let read = |path: &[u8]| root.read_small(path).unwrap_or_default();
        Self::parse(&read(b"/etc/resolv.conf"), &read(b"/etc/hosts"))
    }

    /// With these options instead of the target's own.
    pub(crate) fn with(self, options: DnsOptions) -> Self {
        Self {
            timeout: options.timeout.unwrap_or(self.timeout),
            attempts: options.attempts.unwrap_or(self.attempts),
            ..self
        }
    }

    fn parse(resolv_conf: &[u8], hosts: &[u8]) -> Self {
        let hosts = String::from_utf8_lossy(hosts).into_owned();
        // Without a name server, this machine is it (`resolv.conf(5)`); the parser takes that for an error.
        let parsed = parse_resolv_conf(resolv_conf)
            .or_else(|_| parse_resolv_conf([resolv_conf, b"\nnameserver 127.0.0.1\n"].concat()));
        let Ok((config, options)) = parsed else { return Self::bare(hosts) };
        let server = |server: &hickory_resolver::config::NameServerConfig| {
            let port = server.connections.first().map_or(53, |connection| connection.port);
            SocketAddr::new(server.ip, port)
        };
        Self {
            hosts,
            servers: config.name_servers().iter().take(MAX_SERVERS).map(server).collect(),
            timeout: options.timeout.clamp(Duration::from_secs(1), Duration::from_secs(30)),
            attempts: options.attempts.clamp(1, 5),
            search: config.search().to_vec(),
            ndots: options.ndots.min(15),
        }
    }

    fn bare(hosts: String) -> Self {
        Self {
            hosts,
            servers: vec![(Ipv4Addr::LOCALHOST, 53).into()],
            timeout: Duration::from_secs(5),
            attempts: 2,
            search: Vec::new(),
            ndots: 1,
        }
    }

    /// The names that a name may mean, in the order in which they are asked for.
    pub(super) fn candidates(&self, name: &str) -> Vec<Name> {
        let as_it_is = as_it_is(name);
        if name.is_empty() || name.ends_with('.') {
            return as_it_is;
        }
        let searched = self.search.iter().filter_map(|domain| {
            let mut relative = Name::from_ascii(name).ok()?;
            relative.set_fqdn(false);
            let mut whole = relative.append_domain(domain).ok()?;
            whole.set_fqdn(true);
            Some(whole)
        });
        if name.matches('.').count() >= self.ndots {
            as_it_is.into_iter().chain(searched).collect()
        } else {
            searched.chain(as_it_is.clone()).collect()
        }
    }
}

/// A name as it is said, if it is one.
pub(super) fn as_it_is(name: &str) -> Vec<Name> {
    if name.is_empty() {
        return Vec::new();
    }
    let Ok(mut name) = Name::from_ascii(name) else { return Vec::new() };
    name.set_fqdn(true);
    vec![name]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(config: &Config, name: &str) -> Vec<String> {
        config.candidates(name).iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn a_name_with_enough_dots_is_asked_as_it_is_first() {
        let config = Config::parse(b"nameserver 10.0.0.1\nsearch a.b c\noptions ndots:2\n", b"");
        assert_eq!(candidates(&config, "x"), ["x.a.b.", "x.c.", "x."]);
        assert_eq!(candidates(&config, "x.y.z"), ["x.y.z.", "x.y.z.a.b.", "x.y.z.c."]);
        assert_eq!(candidates(&config, "x."), ["x."]);
        assert!(candidates(&config, "a..b").is_empty());
    }

    #[test]
    fn a_service_name_with_underscores_is_a_name() {
        let config = Config::parse(b"search s\n", b"");
        assert_eq!(candidates(&config, "_http._tcp.x"), ["_http._tcp.x.", "_http._tcp.x.s."]);
    }

    #[test]
    fn without_a_name_server_this_machine_is_asked() {
        for text in [&b""[..], b"# nothing\n", b"search x\n", b"\xff\xfe"] {
            assert_eq!(Config::parse(text, b"").servers, ["127.0.0.1:53".parse().unwrap()]);
        }
    }

    #[test]
    fn what_the_user_says_stands_before_what_the_target_says() {
        let config = || Config::parse(b"nameserver 10.0.0.1\noptions timeout:7 attempts:4\n", b"");
        let told = DnsOptions { timeout: Some(Duration::from_secs(1)), attempts: None };
        let (silent, told) = (config().with(DnsOptions::default()), config().with(told));
        assert_eq!((silent.timeout.as_secs(), silent.attempts), (7, 4));
        assert_eq!((told.timeout.as_secs(), told.attempts), (1, 4));
    }

    #[test]
    fn at_most_three_servers_are_asked() {
        let text = "nameserver 10.0.0.1\nnameserver ::1\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let servers = Config::parse(text.as_bytes(), b"").servers;
        assert_eq!(servers.len(), 3);
        assert_eq!(servers[1], "[::1]:53".parse().unwrap());
    }

    #[test]
    fn whatever_the_files_say_somebody_is_asked_and_not_for_long() {
        const FILES: &[&[u8]] = &[
            b"nameserver 10.0.0.1\nnameserver ::1\nsearch a.b c\noptions ndots:2 timeout:7 attempts:4 rotate\n",
            b"10.0.0.5\tweb.pod web # web2\n::1 localhost\nfe80::1%eth0 x\n",
        ];
        for file in crate::noise::noise(FILES, 20_000) {
            let config = Config::parse(&file, &file);
            assert!((1..=MAX_SERVERS).contains(&config.servers.len()));
            assert!((1..=5).contains(&config.attempts) && config.timeout <= Duration::from_secs(30));
            let _ = super::super::hosts::find(&config.hosts, "web", |_| true);
            let _ = config.candidates(&String::from_utf8_lossy(&file));
        }
    }
}
