//! The order of preference among the addresses of a name (RFC 6724, its main rules, with the C library's own table).

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Puts those first that can be reached from here, and of these the preferred ones; otherwise keeps the order.
pub(super) fn sort(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    if addresses.len() > 1 {
        addresses.sort_by_cached_key(|ip| (!has_route(*ip), preference(*ip)));
    }
    addresses
}

/// Whether the kernel would know where to send a packet (rule 1). Nothing is sent.
fn has_route(ip: IpAddr) -> bool {
    const DISCARD: u16 = 9;
    let any: SocketAddr = if ip.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    UdpSocket::bind(any).and_then(|socket| socket.connect((ip, DISCARD))).is_ok()
}

/// The table of precedences (rule 6), the best first.
fn preference(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V6(ip) if ip.is_loopback() => 0,
        IpAddr::V6(_) => 1,
        IpAddr::V4(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_loopback_addresses_the_newer_kind_comes_first_where_it_is_there() {
        let (v4, v6): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "::1".parse().unwrap());
        let expected = if has_route(v6) { [v6, v4] } else { [v4, v6] };
        assert_eq!(sort(vec![v4, v6]), expected);
    }
}
