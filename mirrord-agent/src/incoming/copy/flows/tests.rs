//! Stories of connections, told by their packets.

use super::{super::reassembly::Segment, *};

const ANN: ClientId = ClientId(1);
const BEN: ClientId = ClientId(2);
const NOW: Duration = Duration::ZERO;

fn peer() -> SocketAddr {
    "10.0.0.9:5000".parse().unwrap()
}

fn target() -> SocketAddr {
    "10.0.0.2:80".parse().unwrap()
}

/// The agent's own port.
fn agent() -> SocketAddr {
    "127.0.0.1:4000".parse().unwrap()
}

fn both(to: SocketAddr) -> Interest {
    match to.port() {
        80 => Interest::Clients(vec![ANN, BEN]),
        4000 => Interest::Unnamed,
        _ => Interest::Nobody,
    }
}

fn packet(to: SocketAddr, sequence: u32, payload: &[u8]) -> Packet<'_> {
    let segment = Segment { sequence, payload, fin: false };
    Packet { from: peer(), to, syn: false, ack: true, rst: false, segment }
}

fn syn(to: SocketAddr, sequence: u32) -> Packet<'static> {
    Packet { syn: true, ack: false, ..packet(to, sequence, b"") }
}

fn fin(to: SocketAddr, sequence: u32) -> Packet<'static> {
    Packet { segment: Segment { sequence, payload: b"", fin: true }, ..packet(to, sequence, b"") }
}

/// What each client hears: a client, and its pieces as text.
fn heard(story: &[Packet<'_>]) -> Vec<(ClientId, String)> {
    let mut flows = Flows::default();
    for packet in story {
        flows.handle_packet(packet, NOW, both);
    }
    transcript(&mut flows)
}

fn transcript(flows: &mut Flows) -> Vec<(ClientId, String)> {
    let news = flows.take_news().into_iter().filter_map(|news| match news {
        News::Overheard { client, hearing, peer: from, local } => {
            assert_eq!((from, local), (peer(), target()));
            Some((client, read(hearing)))
        }
        News::CutOff { .. } => None,
    });
    news.collect()
}

fn read(mut hearing: Hearing) -> String {
    let mut text = String::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(Some(piece)) = std::pin::pin!(hearing.next()).as_mut().poll(&mut context)
    {
        match piece {
            Heard::Bytes(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Heard::Finished => text.push('.'),
            Heard::Broken(errno) => text.extend(["!".to_owned(), errno.to_string()]),
        }
    }
    text
}

#[test]
fn every_client_hears_a_connection_from_its_first_byte_to_its_end() {
    let story =
        [syn(target(), 9), packet(target(), 10, b""), packet(target(), 10, b"hello"), fin(target(), 15)];
    assert_eq!(heard(&story), [(ANN, "hello.".to_owned()), (BEN, "hello.".to_owned())]);
}

#[test]
fn a_connection_that_began_before_is_not_heard() {
    assert_eq!(heard(&[packet(target(), 10, b"hello"), fin(target(), 15)]), []);
}

#[test]
fn a_connection_that_is_refused_is_not_heard() {
    let refusal = Packet { rst: true, from: target(), to: peer(), ..packet(target(), 0, b"") };
    assert_eq!(heard(&[syn(target(), 9), refusal, packet(target(), 10, b"x")]), []);
}

#[test]
fn a_reset_of_either_side_breaks_what_is_heard() {
    let from_peer = Packet { rst: true, ..packet(target(), 12, b"") };
    let from_target = Packet { from: target(), to: peer(), ..from_peer };
    for reset in [from_peer, from_target] {
        let story = [syn(target(), 9), packet(target(), 10, b"hi"), reset, packet(target(), 12, b"x")];
        assert_eq!(heard(&story)[0], (ANN, "hi!104".to_owned()));
    }
}

#[test]
fn a_reset_from_long_ago_is_not_believed() {
    let old = Packet { rst: true, ..packet(target(), 1, b"") };
    let story = [syn(target(), 9), packet(target(), 10, b"hi"), old, packet(target(), 12, b"!")];
    assert_eq!(heard(&story)[0], (ANN, "hi!".to_owned()));
}

#[test]
fn a_repeated_syn_changes_nothing_and_a_new_one_begins_anew() {
    let story = [
        syn(target(), 9),
        syn(target(), 9),
        packet(target(), 10, b"one"),
        syn(target(), 500),
        packet(target(), 501, b"two"),
    ];
    let heard: Vec<_> = heard(&story).into_iter().filter(|(client, _)| *client == ANN).collect();
    assert_eq!(heard, [(ANN, "one!104".to_owned()), (ANN, "two".to_owned())]);
}

#[test]
fn bytes_that_ride_on_the_syn_are_heard() {
    let mut first = syn(target(), 9);
    first.segment.payload = b"fast";
    assert_eq!(heard(&[first, packet(target(), 14, b"er")])[0].1, "faster");
}

#[test]
fn a_connection_of_the_agents_port_is_heard_when_it_is_named() {
    let mut flows = Flows::default();
    for packet in [syn(agent(), 9), packet(agent(), 10, b"hel"), packet(agent(), 13, b"lo")] {
        flows.handle_packet(&packet, NOW, both);
    }
    assert!(flows.take_news().is_empty());
    flows.name((peer(), agent()), target(), both);
    flows.handle_packet(&fin(agent(), 15), NOW, both);
    assert_eq!(transcript(&mut flows)[0], (ANN, "hello.".to_owned()));
    assert!(flows.is_empty() && flows.named.is_empty());
}

#[test]
fn a_reset_reaches_a_named_connection_by_its_name() {
    let mut flows = Flows::default();
    flows.handle_packet(&syn(agent(), 9), NOW, both);
    flows.handle_packet(&packet(agent(), 10, b"x"), NOW, both);
    flows.name((peer(), agent()), target(), both);
    let reset = Packet { rst: true, from: target(), to: peer(), ..packet(target(), 0, b"") };
    flows.handle_packet(&reset, NOW, both);
    assert_eq!(transcript(&mut flows)[0].1, "x!104");
}

#[test]
fn what_is_never_named_is_forgotten() {
    let mut flows = Flows::default();
    flows.handle_packet(&syn(agent(), 9), NOW, both);
    flows.handle_packet(&packet(agent(), 10, b"x"), NOW, both);
    flows.handle_time(OPENING_PATIENCE);
    assert!(flows.is_empty());
    flows.name((peer(), agent()), target(), both);
    assert!(flows.take_news().is_empty());
}

#[test]
fn a_gap_that_is_never_filled_ends_the_hearing_in_words() {
    let mut flows = Flows::default();
    for packet in [syn(target(), 9), packet(target(), 10, b"a"), packet(target(), 20, b"z")] {
        flows.handle_packet(&packet, NOW, both);
    }
    flows.handle_time(super::super::reassembly::GAP_PATIENCE);
    let news = flows.take_news();
    let n_cut_off = news.iter().filter(|news| matches!(news, News::CutOff { .. })).count();
    assert_eq!(n_cut_off, 2);
    let News::Overheard { hearing, .. } = news.into_iter().next().unwrap() else { panic!() };
    assert_eq!(read(hearing), "a!5");
}

#[test]
fn a_connection_that_nobody_hears_any_more_is_forgotten() {
    let mut flows = Flows::default();
    flows.handle_packet(&syn(target(), 9), NOW, both);
    flows.handle_packet(&packet(target(), 10, b"a"), NOW, both);
    drop(flows.take_news());
    flows.handle_packet(&packet(target(), 11, b"b"), NOW, both);
    assert!(flows.is_empty());
}

#[test]
fn a_flood_of_syns_is_bounded_and_spares_the_living() {
    let mut flows = Flows::default();
    flows.handle_packet(&syn(target(), 9), NOW, both);
    flows.handle_packet(&packet(target(), 10, b"a"), NOW, both);
    for port in 10_000..(10_000 + u16::try_from(MAX_FLOWS).unwrap() * 2) {
        let flood = Packet { from: SocketAddr::new(peer().ip(), port), ..syn(target(), 9) };
        flows.handle_packet(&flood, Duration::from_secs(1), both);
    }
    assert!(flows.living.len() <= MAX_FLOWS);
    assert!(flows.living.contains_key(&(peer(), target())));
}
