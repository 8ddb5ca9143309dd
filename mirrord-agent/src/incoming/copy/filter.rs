//! The packets that the capture wants, as a classic BPF program; pure.
//!
//! Wanted are TCP packets to the ports that came in, and resets from the ports, whichever way. Never wanted is what
//! carries the agent's own mark. Packets begin with their IP header (`packet(7)`, `SOCK_DGRAM`).

use std::collections::BTreeSet;

use libc::sock_filter;

use super::super::ruleset::PASS_MARK;

/// More ports than this are left to the reader of the packets.
const MAX_PORTS: usize = 256;

const AD_PROTOCOL: u32 = 0xffff_f000;
const AD_PACKET_TYPE: u32 = AD_PROTOCOL + 4;
const AD_MARK: u32 = AD_PROTOCOL + 20;
const ETH_P_IP: u32 = 0x0800;
const ETH_P_IPV6: u32 = 0x86dd;
const PACKET_OUTGOING: u32 = 4;
const IPPROTO_TCP: u32 = 6;
/// Headers of IPv6 that a TCP header may follow: hop-by-hop, routing, destination options.
const EXTENSIONS: [u32; 3] = [0, 43, 60];
const RST: u32 = 4;
const WHOLE: u32 = u32::MAX;

// The operations of `linux/bpf_common.h` that are used here.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_BEHIND: u16 = 0x48;
const LOAD_BYTE_BEHIND: u16 = 0x50;
const HEADER_IS: u16 = 0x01;
const HEADER_OF_IP: u16 = 0xb1;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// A program, as the kernel takes it.
pub(super) fn program(ports: &BTreeSet<u16>) -> Vec<sock_filter> {
    let mut program = vec![plain(LOAD_WORD, AD_MARK)];
    program.extend(drop_if(IF_EQUAL, PASS_MARK));
    program.push(plain(LOAD_WORD, AD_PROTOCOL));
    program.extend(block_if(IF_EQUAL, ETH_P_IP, ipv4(ports)));
    program.extend(block_if(IF_EQUAL, ETH_P_IPV6, ipv6(ports)));
    program.push(plain(RETURN, 0));
    program
}

fn ipv4(ports: &BTreeSet<u16>) -> Vec<sock_filter> {
    let mut block = vec![plain(LOAD_BYTE, 9)];
    block.extend(drop_unless(IF_EQUAL, IPPROTO_TCP));
    // Later fragments have no ports.
    block.push(plain(LOAD_HALF, 6));
    block.extend(drop_if(IF_SET, 0x1fff));
    block.push(plain(HEADER_OF_IP, 0));
    block.extend(tcp(ports));
    block
}

fn ipv6(ports: &BTreeSet<u16>) -> Vec<sock_filter> {
    let mut block = vec![plain(LOAD_BYTE, 6)];
    // A chain of extension headers is left to the reader of the packets.
    block.extend(EXTENSIONS.into_iter().flat_map(|header| accept_if(IF_EQUAL, header)));
    block.extend(drop_unless(IF_EQUAL, IPPROTO_TCP));
    block.push(plain(HEADER_IS, 40));
    block.extend(tcp(ports));
    block
}

fn tcp(ports: &BTreeSet<u16>) -> Vec<sock_filter> {
    if ports.len() > MAX_PORTS {
        return vec![plain(RETURN, WHOLE)];
    }
    let any_port = || ports.iter().flat_map(|port| accept_if(IF_EQUAL, u32::from(*port)));
    let mut incoming = vec![plain(LOAD_HALF_BEHIND, 2)];
    incoming.extend(any_port());
    let mut block = vec![plain(LOAD_WORD, AD_PACKET_TYPE), branch(IF_EQUAL, PACKET_OUTGOING, 0, 1)];
    block.push(jump(incoming.len()));
    block.extend(incoming);
    block.push(plain(LOAD_BYTE_BEHIND, 13));
    block.extend(drop_unless(IF_SET, RST));
    block.push(plain(LOAD_HALF_BEHIND, 0));
    block.extend(any_port());
    block.push(plain(RETURN, 0));
    block
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn plain(code: u16, k: u32) -> sock_filter {
    branch(code, k, 0, 0)
}

fn jump(length: usize) -> sock_filter {
    plain(JUMP, u32::try_from(length).unwrap_or_default())
}

fn drop_if(code: u16, k: u32) -> [sock_filter; 2] {
    [branch(code, k, 0, 1), plain(RETURN, 0)]
}

fn drop_unless(code: u16, k: u32) -> [sock_filter; 2] {
    [branch(code, k, 1, 0), plain(RETURN, 0)]
}

fn accept_if(code: u16, k: u32) -> [sock_filter; 2] {
    [branch(code, k, 0, 1), plain(RETURN, WHOLE)]
}

/// A block that is left by a return and never by its end.
fn block_if(code: u16, k: u32, block: Vec<sock_filter>) -> Vec<sock_filter> {
    let mut guarded = vec![branch(code, k, 1, 0), jump(block.len())];
    guarded.extend(block);
    guarded
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    struct Packet {
        bytes: Vec<u8>,
        protocol: u32,
        direction: u32,
        mark: u32,
    }

    /// What the kernel would do.
    fn accepts(program: &[sock_filter], packet: &Packet) -> bool {
        let bytes = &packet.bytes;
        let byte = |at: u32| u32::from(bytes[at as usize]);
        let (mut a, mut x, mut at) = (0, 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let test = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                LOAD_WORD if k == AD_MARK => a = packet.mark,
                LOAD_WORD if k == AD_PROTOCOL => a = packet.protocol,
                LOAD_WORD if k == AD_PACKET_TYPE => a = packet.direction,
                LOAD_BYTE => a = byte(k),
                LOAD_HALF => a = byte(k) << 8 | byte(k + 1),
                LOAD_BYTE_BEHIND => a = byte(x + k),
                LOAD_HALF_BEHIND => a = byte(x + k) << 8 | byte(x + k + 1),
                HEADER_IS => x = k,
                HEADER_OF_IP => x = (byte(0) & 15) * 4,
                JUMP => at += k as usize,
                IF_EQUAL => at += test(a == k),
                IF_SET => at += test(a & k != 0),
                RETURN => return k != 0,
                _ => panic!("unknown operation {code:#x}"),
            }
        }
    }

    fn tcp_packet(v6: bool, from: u16, to: u16, rst: bool) -> Packet {
        let builder = if v6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 64)
        } else {
            PacketBuilder::ipv4([1; 4], [2; 4], 64)
        };
        let mut builder = builder.tcp(from, to, 7, 100);
        if rst {
            builder = builder.rst();
        }
        let mut bytes = vec![0; builder.size(5)];
        builder.write_to_slice(&mut bytes, b"hello").unwrap();
        let protocol = if v6 { ETH_P_IPV6 } else { ETH_P_IP };
        Packet { bytes, protocol, direction: 0, mark: 0 }
    }

    fn ports(ports: &[u16]) -> Vec<sock_filter> {
        program(&ports.iter().copied().collect())
    }

    #[test]
    fn packets_to_the_ports_are_wanted_and_others_are_not() {
        let program = ports(&[80, 8080]);
        for v6 in [false, true] {
            assert!(accepts(&program, &tcp_packet(v6, 5000, 80, false)));
            assert!(accepts(&program, &tcp_packet(v6, 5000, 8080, false)));
            assert!(!accepts(&program, &tcp_packet(v6, 5000, 81, false)));
            assert!(!accepts(&program, &tcp_packet(v6, 80, 5000, false)));
            assert!(!accepts(&ports(&[]), &tcp_packet(v6, 5000, 80, false)));
        }
    }

    #[test]
    fn a_reset_from_the_port_is_wanted_whichever_way_it_goes() {
        for direction in [0, PACKET_OUTGOING] {
            let packet = Packet { direction, ..tcp_packet(false, 80, 5000, true) };
            assert!(accepts(&ports(&[80]), &packet));
            assert!(!accepts(&ports(&[81]), &packet));
        }
    }

    #[test]
    fn what_goes_out_to_the_port_is_not_wanted() {
        let packet = Packet { direction: PACKET_OUTGOING, ..tcp_packet(false, 5000, 80, false) };
        assert!(!accepts(&ports(&[80]), &packet));
    }

    #[test]
    fn what_the_agent_sends_to_the_target_is_not_wanted() {
        let packet = Packet { mark: PASS_MARK, ..tcp_packet(false, 5000, 80, false) };
        assert!(!accepts(&ports(&[80]), &packet));
    }

    #[test]
    fn later_fragments_and_other_protocols_are_not_wanted() {
        let mut fragment = tcp_packet(false, 5000, 80, false);
        fragment.bytes[7] = 1;
        assert!(!accepts(&ports(&[80]), &fragment));
        let mut udp = tcp_packet(true, 5000, 80, false);
        udp.bytes[6] = 17;
        assert!(!accepts(&ports(&[80]), &udp));
        let arp = Packet { protocol: 0x0806, ..tcp_packet(false, 5000, 80, false) };
        assert!(!accepts(&ports(&[80]), &arp));
    }

    #[test]
    fn many_ports_are_left_to_the_reader() {
        let many: Vec<u16> = (1..1000).collect();
        let program = ports(&many);
        assert!(program.len() < 100);
        assert!(accepts(&program, &tcp_packet(false, 5000, 80, false)));
        assert!(ports(&many[..MAX_PORTS]).len() < 4096);
    }
}
