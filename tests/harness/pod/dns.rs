//! The pod's resolver: it knows names that nobody else knows.
//!
//! One question per message, answers by table, over UDP and TCP (RFC 1035).
//! What does not fit into 512 bytes is cut, with the bit that sends the asker to TCP.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    thread,
};

/// Where it listens.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 77, 0, 53), 53);

const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// Listens, and answers from threads of its own.
pub fn start() -> io::Result<()> {
    let datagrams = UdpSocket::bind(ADDRESS)?;
    let streams = TcpListener::bind(ADDRESS)?;
    thread::spawn(move || {
        let mut bytes = [0; 1500];
        loop {
            let Ok((length, peer)) = datagrams.recv_from(&mut bytes) else { continue };
            if let Some(answer) = answer(&bytes[..length], 512) {
                let _ = datagrams.send_to(&answer, peer);
            }
        }
    });
    thread::spawn(move || {
        loop {
            let Ok((mut stream, _)) = streams.accept() else { continue };
            thread::spawn(move || -> io::Result<()> {
                loop {
                    let mut length = [0; 2];
                    stream.read_exact(&mut length)?;
                    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut question)?;
                    let Some(answer) = answer(&question, 65535) else { return Ok(()) };
                    let length = u16::try_from(answer.len()).map_err(io::Error::other)?.to_be_bytes();
                    stream.write_all(&[&length[..], &answer].concat())?;
                }
            });
        }
    });
    Ok(())
}

struct Zone {
    records: Vec<(String, u16, Vec<u8>)>,
}

impl Zone {
    fn new() -> Self {
        let mut zone = Self { records: Vec::new() };
        let v4 = |last| vec![10, 77, 0, last];
        let v6 = |last| Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last).octets().to_vec();
        zone.add("redis.shop", A, v4(2));
        zone.add("web.shop", A, v4(2));
        zone.add("web.shop", AAAA, v6(2));
        zone.add("db.shop", A, v4(3));
        zone.add("db.shop", AAAA, v6(3));
        zone.add("only-4.shop", A, v4(2));
        zone.add("only-6.shop", AAAA, v6(2));
        zone.add("api.shop", CNAME, name("web.shop"));
        zone.add("many.shop", A, v4(2));
        zone.add("many.shop", A, v4(3));
        zone.add("about.shop", TXT, [b"\x0bcorner shop".as_slice(), b"\x04open"].concat());
        zone.add("shop", MX, [&[0, 10][..], &name("web.shop")].concat());
        zone.add("_redis._tcp.shop", SRV, [&[0, 0, 0, 10, 0x18, 0xeb][..], &name("redis.shop")].concat());
        zone.add("2.0.77.10.in-addr.arpa", PTR, name("web.shop"));
        zone.add("3.0.77.10.in-addr.arpa", PTR, name("db.shop"));
        for last in 1..=60 {
            zone.add("big.shop", A, vec![10, 78, 0, last]);
        }
        zone
    }

    fn add(&mut self, owner: &str, kind: u16, data: Vec<u8>) {
        self.records.push((owner.to_owned(), kind, data));
    }

    fn find<'a>(&'a self, owner: &'a str, kind: u16) -> impl Iterator<Item = &'a (String, u16, Vec<u8>)> {
        self.records.iter().filter(move |it| it.0 == owner && (it.1 == kind || it.1 == CNAME))
    }

    /// Whether there is anything by this name, or below it.
    fn knows(&self, owner: &str) -> bool {
        self.records.iter().any(|it| it.0 == owner || it.0.ends_with(&format!(".{owner}")))
    }
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for label in text.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The name and type that are asked for, and where the question ends.
fn parse(message: &[u8]) -> Option<(String, u16, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    message.get(at + 3)?;
    Some((labels.join("."), kind, at + 4))
}

fn answer(message: &[u8], limit: usize) -> Option<Vec<u8>> {
    let zone = Zone::new();
    let (asked, kind, end) = parse(message)?;
    let mut records: Vec<_> = zone.find(&asked, kind).collect();
    if let [(_, CNAME, data)] = records.as_slice() {
        let alias = parse(&[&[0; 12][..], data, &[0; 4]].concat())?.0;
        records.extend(zone.records.iter().filter(|it| it.0 == alias && it.1 == kind));
    }
    let code = match asked.as_str() {
        "broken.shop" => 2,
        _ if zone.knows(&asked) => 0,
        _ => 3,
    };
    let body: Vec<u8> = records.iter().flat_map(|it| record(&it.0, it.1, &it.2)).collect();
    let is_cut = end + body.len() > limit;
    let n_answers = if is_cut { 0 } else { u16::try_from(records.len()).ok()? };
    let authority = if n_answers == 0 && !is_cut && code != 2 {
        record("shop", SOA, &start_of_authority())
    } else {
        Vec::new()
    };
    let mut reply = message[..2].to_vec();
    // An answer, authoritative, perhaps cut; the asker's wish for recursion; recursion is had.
    reply.push(0x84 | (message[2] & 0x01) | if is_cut { 0x02 } else { 0 });
    reply.push(0x80 | code);
    reply.extend_from_slice(&[0, 1]);
    reply.extend_from_slice(&n_answers.to_be_bytes());
    reply.extend_from_slice(&[0, u8::from(!authority.is_empty()), 0, 0]);
    reply.extend_from_slice(&message[12..end]);
    if !is_cut {
        reply.extend_from_slice(&body);
    }
    reply.extend_from_slice(&authority);
    Some(reply)
}

fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = name(owner);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 0, 30]);
    bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn start_of_authority() -> Vec<u8> {
    let numbers: Vec<u8> = [1u32, 60, 60, 60, 30].iter().flat_map(|it| it.to_be_bytes()).collect();
    [name("ns.shop"), name("admin.shop"), numbers].concat()
}
