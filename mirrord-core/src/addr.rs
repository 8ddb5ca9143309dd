//! What an address says of itself: its plain form, whether it is this machine's, whether the proxy rings from it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address with an IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2) written as what it is.
#[must_use]
pub fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The address that is reached by one: for the unspecified address the kernel takes loopback.
#[must_use]
pub fn reached(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return addr,
    };
    SocketAddr::new(ip, addr.port())
}

/// Whether connecting there reaches this very machine: loopback, or the unspecified address, which stands for it.
#[must_use]
pub fn is_loopback(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

/// Whether the proxy rings from there ([`mirrord_protocol::proxy::sockets::DOORBELL_NET`]).
#[must_use]
pub fn is_doorbell(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip.to_canonical() else { return false };
    ip.octets().starts_with(&mirrord_protocol::proxy::sockets::DOORBELL_NET)
}

/// The address from which a proxy rings: told apart by the session's number.
#[must_use]
pub fn doorbell(session: u16) -> Ipv4Addr {
    let [first, second] = mirrord_protocol::proxy::sockets::DOORBELL_NET;
    let [high, low] = session.to_be_bytes();
    // The last byte is neither 0 nor 255: neither looks like a network or a broadcast address.
    Ipv4Addr::new(first, second, high, low.clamp(1, 254))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_one_that_it_maps() {
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:80".parse().unwrap();
        assert_eq!(plain(mapped), "127.0.0.1:80".parse().unwrap());
        assert!(is_loopback(mapped.ip()));
    }

    #[test]
    fn every_session_rings_from_the_doorbell_net() {
        for session in [0, 1, 255, 256, u16::MAX] {
            assert!(is_doorbell(IpAddr::V4(doorbell(session))));
        }
        assert!(!is_doorbell("127.0.0.1".parse().unwrap()));
    }
}
