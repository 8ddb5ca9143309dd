//! The queries of a program that resolves names by itself: those for names that stay here are asked here.
//!
//! Such a program has read how names are resolved there, and sends its queries to a server there. Of those that pass by
//! us, the name is read (RFC 1035); one that a filter keeps here is asked of a server of this machine, whose answer the
//! program takes for that of the server it knows. The messages of a stream are told apart for that ([`stream`]).

mod stream;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use mirrord_core::{rules::dns::DnsRules, verdict::Verdict};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket, UnixStream},
};

/// Where servers of names listen.
const PORT: u16 = 53;

/// How long a server here may take; whoever asks asks again by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer.
const LARGEST: usize = 65_535;

/// Which names are asked where. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Queries(Arc<DnsRules>);

/// How a query came, and is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// UDP.
    Datagram,
    /// TCP: what does not fit into a datagram.
    Stream,
}

impl Queries {
    /// By these rules.
    pub(crate) fn new(rules: &DnsRules) -> Self {
        Self(Arc::new(rules.clone()))
    }

    /// Whether what is sent to an address may be a query that is to be asked here.
    pub(crate) fn concern(&self, to: SocketAddr) -> bool {
        to.port() == PORT && self.0.has_filter()
    }

    /// Whether a datagram is one.
    pub(crate) fn keeps(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.concern(to) && self.keep(datagram)
    }

    fn keep(&self, query: &[u8]) -> bool {
        name_of(query).is_some_and(|name| matches!(self.0.decide(&name, 0), Verdict::Leave(_)))
    }

    /// Carries a stream of messages, but for queries that are to be asked here.
    pub(crate) async fn sift(&self, guest: TcpStream, server: UnixStream) {
        stream::sift(self, guest, server).await;
    }

    /// Asks a query here, and gives the answer as it came.
    pub(crate) async fn ask(query: &[u8], by: By) -> io::Result<Vec<u8>> {
        // It is small, and as near as memory.
        let text = std::fs::read_to_string("/etc/resolv.conf")?;
        let mut why = io::ErrorKind::NotFound.into();
        for server in servers(&text) {
            match tokio::time::timeout(PATIENCE, ask_server(server, query, by)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => why = failed,
                Err(_) => why = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(why)
    }
}

async fn ask_server(server: IpAddr, query: &[u8], by: By) -> io::Result<Vec<u8>> {
    if by == By::Stream
        && let Ok(answer) = ask_by_stream(server, query).await
    {
        return Ok(answer);
    }
    ask_by_datagram(server, query).await
}

async fn ask_by_stream(server: IpAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((server, PORT)).await?;
    stream.write_all(&stream::with_length(query)).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn ask_by_datagram(server: IpAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect((server, PORT)).await?;
    socket.send(query).await?;
    let mut answer = vec![0; LARGEST];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// The servers that `resolv.conf(5)` names; without any, the one of this machine.
fn servers(text: &str) -> Vec<IpAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    let named: Vec<IpAddr> = named.collect();
    if named.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { named }
}

/// The name that a query asks for, without its last dot.
fn name_of(query: &[u8]) -> Option<String> {
    const HEADER: usize = 12;
    const IS_ANSWER: u8 = 0x80;
    let (header, mut rest) = query.split_at_checked(HEADER)?;
    let n_questions = u16::from_be_bytes([header[4], header[5]]);
    if header[2] & IS_ANSWER != 0 || n_questions != 1 {
        return None;
    }
    let mut labels = Vec::new();
    loop {
        let (length, behind) = rest.split_first()?;
        match usize::from(*length) {
            0 => return Some(labels.join(".")),
            length @ 1..=63 => {
                let (label, behind) = behind.split_at_checked(length)?;
                labels.push(String::from_utf8(label.to_vec()).ok()?);
                rest = behind;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use mirrord_core::rules::address::{AddressFilter, Side};

    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let mut bytes = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(label.len().try_into().unwrap());
            bytes.extend(label.as_bytes());
        }
        bytes.extend([0, 0, 1, 0, 1]);
        bytes
    }

    fn queries(entries: &[&str]) -> Queries {
        let entries = entries.iter().map(|text| text.parse().unwrap()).collect();
        Queries::new(&DnsRules { enabled: true, filter: Some(AddressFilter { side: Side::Here, entries }) })
    }

    #[test]
    fn a_query_for_a_name_that_stays_is_kept_and_others_are_not() {
        let (queries, server) = (queries(&["db.here"]), "10.0.0.53:53".parse().unwrap());
        assert!(queries.keeps(server, &query("db.here")));
        assert!(queries.keeps(server, &query("DB.here")));
        assert!(!queries.keeps(server, &query("db.there")));
        assert!(!queries.keeps("10.0.0.53:54".parse().unwrap(), &query("db.here")));
        assert!(!Queries::new(&DnsRules { enabled: true, filter: None }).keeps(server, &query("db.here")));
    }

    #[test]
    fn what_is_no_query_has_no_name() {
        let good = query("db.here");
        assert_eq!(name_of(&good).as_deref(), Some("db.here"));
        for length in 0..good.len() - 4 {
            assert_eq!(name_of(&good[..length]), None, "{length}");
        }
        let mut answer = good.clone();
        answer[2] |= 0x80;
        assert_eq!(name_of(&answer), None);
        let mut jumping = good;
        jumping[12] = 0xc0;
        assert_eq!(name_of(&jumping), None);
    }

    #[test]
    fn servers_are_those_that_are_named() {
        assert_eq!(servers("# none\nsearch x\n"), [IpAddr::from([127, 0, 0, 1])]);
        let text = "nameserver 10.0.0.1\nnameserver fd00::1 \nnameserver x\n";
        assert_eq!(servers(text), ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    }
}
