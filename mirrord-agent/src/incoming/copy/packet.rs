//! A captured packet read as a TCP segment; pure.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

use super::reassembly::Segment;

/// A TCP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// Who is to get it.
    pub(super) to: SocketAddr,
    /// Whether it opens a connection.
    pub(super) syn: bool,
    /// Whether it acknowledges anything.
    pub(super) ack: bool,
    /// Whether it ends a connection at once.
    pub(super) rst: bool,
    /// Its place in the stream.
    pub(super) segment: Segment<'a>,
}

/// Reads a packet that begins with its IP header; none if it is no whole TCP packet.
pub(super) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = LaxSlicedPacket::from_ip(bytes).ok()?;
    let (source, destination): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    Some(Packet {
        from: SocketAddr::new(source, tcp.source_port()),
        to: SocketAddr::new(destination, tcp.destination_port()),
        syn: tcp.syn(),
        ack: tcp.ack(),
        rst: tcp.rst(),
        segment: Segment { sequence: tcp.sequence_number(), payload: tcp.payload(), fin: tcp.fin() },
    })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn packet(v6: bool) -> Vec<u8> {
        let builder = if v6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 64)
        } else {
            PacketBuilder::ipv4([1, 1, 1, 1], [2, 2, 2, 2], 64)
        };
        let builder = builder.tcp(5000, 80, 7, 100).fin();
        let mut bytes = vec![0; builder.size(5)];
        builder.write_to_slice(&mut bytes, b"hello").unwrap();
        bytes
    }

    #[test]
    fn both_families_are_read() {
        for v6 in [false, true] {
            let bytes = packet(v6);
            let packet = parse(&bytes).unwrap();
            assert_eq!((packet.from.port(), packet.to.port()), (5000, 80));
            assert_eq!(packet.from.is_ipv6(), v6);
            assert_eq!(packet.segment, Segment { sequence: 7, payload: b"hello", fin: true });
            assert!(!packet.syn && !packet.rst);
        }
    }

    #[test]
    fn the_padding_of_short_frames_is_no_payload() {
        let mut bytes = packet(false);
        bytes.extend([0; 18]);
        assert_eq!(parse(&bytes).unwrap().segment.payload, b"hello");
    }

    #[test]
    fn a_cut_packet_is_none_or_shorter_and_never_a_panic() {
        for v6 in [false, true] {
            let bytes = packet(v6);
            for length in 0..bytes.len() {
                if let Some(packet) = parse(&bytes[..length]) {
                    assert!(b"hello".starts_with(packet.segment.payload));
                }
            }
        }
    }

    #[test]
    fn noise_is_no_packet_or_one_within_its_bytes() {
        let (v4, v6): (&'static [u8], &'static [u8]) = (packet(false).leak(), packet(true).leak());
        for bytes in crate::noise::noise(vec![v4, v6].leak(), 50_000) {
            if let Some(packet) = parse(&bytes) {
                assert!(packet.segment.payload.len() < bytes.len());
            }
        }
    }
}
