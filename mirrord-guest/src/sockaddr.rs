//! `struct sockaddr`: addresses of sockets, read from the guest and written for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};

/// An address as a guest gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// Of the internet.
    Inet(SocketAddr),
    /// What stands behind the family of a unix address.
    Unix(&'a [u8]),
    /// Nothing that we know, or nothing at all: the kernel's to judge.
    Other,
}

impl<'a> Address<'a> {
    /// What the bytes of an address say.
    pub fn of(bytes: &'a [u8]) -> Self {
        parse(bytes)
    }
    /// Reads a guest's address. One that cannot be one is [`Self::Other`].
    ///
    /// # Safety
    /// A pointer that is plausible must point to so many bytes, which stay as they are while it is used.
    pub unsafe fn read(address: *const sockaddr, length: socklen_t) -> Self {
        let length = usize::try_from(length).unwrap_or(0);
        if !(FAMILY..=size_of::<libc::sockaddr_storage>()).contains(&length)
            || !crate::pointer::is_there(address.addr(), length)
        {
            return Self::Other;
        }
        // SAFETY: the caller promises so many bytes.
        parse(unsafe { std::slice::from_raw_parts(address.cast::<u8>(), length) })
    }
}

const FAMILY: usize = size_of::<sa_family_t>();
/// The kernel takes an IPv6 address without its scope (RFC 2133).
const LEAST_V6: usize = 24;

fn parse(bytes: &[u8]) -> Address<'_> {
    let Some((family, rest)) = bytes.split_first_chunk::<FAMILY>() else { return Address::Other };
    let inet = match c_int::from(sa_family_t::from_ne_bytes(*family)) {
        libc::AF_INET if bytes.len() >= size_of::<sockaddr_in>() => parse_v4(rest),
        libc::AF_INET6 if bytes.len() >= LEAST_V6 => parse_v6(rest),
        libc::AF_UNIX if !rest.is_empty() => return Address::Unix(rest),
        _ => None,
    };
    inet.map_or(Address::Other, Address::Inet)
}

fn parse_v4(rest: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = rest.split_first_chunk()?;
    let ip = rest.first_chunk::<4>()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(*ip), u16::from_be_bytes(*port)).into())
}

fn parse_v6(rest: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = rest.split_first_chunk()?;
    let (flow, rest) = rest.split_first_chunk()?;
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let scope = rest.first_chunk().map_or(0, |scope| u32::from_ne_bytes(*scope));
    let (port, flow) = (u16::from_be_bytes(*port), u32::from_ne_bytes(*flow));
    Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, scope).into())
}

/// An address as the kernel reads and writes it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Encoded {
    bytes: [u8; size_of::<libc::sockaddr_storage>()],
    length: socklen_t,
}

impl Encoded {
    /// A place for the kernel to write an address to.
    pub fn empty() -> Self {
        let bytes = [0; size_of::<libc::sockaddr_storage>()];
        Self { bytes, length: socklen_t::try_from(bytes.len()).unwrap_or(0) }
    }

    /// The address that unties a socket from its peer.
    pub fn unspecified() -> Self {
        Self { length: socklen_t::try_from(size_of::<sockaddr>()).unwrap_or(0), ..Self::empty() }
    }

    /// An address for a socket of this domain: an IPv4 address is mapped into an IPv6 one where that is needed.
    pub fn new(address: SocketAddr, domain: c_int) -> Self {
        let fitted = match (domain, address.ip()) {
            (libc::AF_INET6, IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            (libc::AF_INET, IpAddr::V6(_)) => match mirrord_core::addr::plain(address) {
                // It cannot be told to such a socket.
                SocketAddr::V6(_) => SocketAddr::from(([0; 4], address.port())),
                mapped @ SocketAddr::V4(_) => mapped,
            },
            _ => address,
        };
        let mut encoded = Self::empty();
        let port = fitted.port().to_be_bytes();
        let mut put = |at: usize, bytes: &[u8]| encoded.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        let length = match fitted {
            SocketAddr::V4(v4) => {
                put(0, &family(libc::AF_INET));
                put(2, &port);
                put(4, &v4.ip().octets());
                size_of::<sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                put(0, &family(libc::AF_INET6));
                put(2, &port);
                put(4, &v6.flowinfo().to_ne_bytes());
                put(8, &v6.ip().octets());
                put(24, &v6.scope_id().to_ne_bytes());
                size_of::<sockaddr_in6>()
            }
        };
        encoded.length = socklen_t::try_from(length).unwrap_or(0);
        encoded
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::try_from(self.length).unwrap_or(0).min(self.bytes.len())]
    }

    /// For a call that reads it.
    pub fn as_ptr(&self) -> *const sockaddr {
        self.bytes.as_ptr().cast()
    }

    /// For a call that writes it.
    pub fn as_mut_ptr(&mut self) -> *mut sockaddr {
        self.bytes.as_mut_ptr().cast()
    }

    /// Its length.
    pub fn length(&self) -> socklen_t {
        self.length
    }

    /// For a call that writes its length.
    pub fn length_mut(&mut self) -> &mut socklen_t {
        &mut self.length
    }

    /// What it says.
    pub fn address(&self) -> Address<'_> {
        let length = usize::try_from(self.length).unwrap_or(0).min(self.bytes.len());
        parse(&self.bytes[..length])
    }

    /// What it says, if it is of the internet.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self.address() {
            Address::Inet(address) => Some(address),
            _ => None,
        }
    }

    /// Gives it to a guest as the kernel does: cut to the guest's room, with its full length told.
    ///
    /// # Safety
    /// Both pointers are the guest's, under the contract of `accept(2)`.
    pub unsafe fn give(&self, place: *mut sockaddr, room: *mut socklen_t) {
        if place.is_null() || room.is_null() {
            return;
        }
        // SAFETY: the guest gives a readable length.
        let n_room = usize::try_from(unsafe { room.read_unaligned() }).unwrap_or(0);
        let n_bytes = usize::try_from(self.length).unwrap_or(0).min(n_room).min(self.bytes.len());
        // SAFETY: the guest's place has that much room.
        unsafe { place.cast::<u8>().copy_from_nonoverlapping(self.bytes.as_ptr(), n_bytes) };
        // SAFETY: the guest gives a writable length.
        unsafe { room.write_unaligned(self.length) };
    }
}

fn family(number: c_int) -> [u8; FAMILY] {
    sa_family_t::try_from(number).unwrap_or(0).to_ne_bytes()
}
