//! Which sockets are there: the kernel's own list (`sock_diag(7)`).

use std::{collections::HashSet, io};

use mirrord_protocol::id::SocketInode;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

/// The inodes of all TCP sockets that listen in this network namespace.
pub(crate) fn listening() -> io::Result<HashSet<SocketInode>> {
    inodes(IPPROTO_TCP, &StateFlags::LISTEN)
}

/// The inodes of all UDP sockets of this network namespace that have an address.
pub(crate) fn datagrams() -> io::Result<HashSet<SocketInode>> {
    inodes(IPPROTO_UDP, &StateFlags::all())
}

/// Whether there are listeners on a port, and none of them has room for one more connection that is not accepted yet.
pub(crate) fn is_full(port: u16) -> io::Result<bool> {
    let (mut n_full, mut n_listeners) = (0, 0);
    list(IPPROTO_TCP, &StateFlags::LISTEN, port, |it| {
        n_listeners += 1;
        // Of a listener the kernel tells here how many wait, and how many may (`ss(8)`); it takes one more than that.
        n_full += usize::from(it.header.recv_queue > it.header.send_queue);
    })?;
    Ok(n_listeners > 0 && n_full == n_listeners)
}

fn inodes(protocol: u8, states: &StateFlags) -> io::Result<HashSet<SocketInode>> {
    let mut inodes = HashSet::new();
    list(protocol, states, 0, |it| {
        inodes.insert(SocketInode(u64::from(it.header.inode)));
    })?;
    Ok(inodes)
}

/// Sockets of one port; of all if it is 0.
fn list(
    protocol: u8,
    states: &StateFlags,
    port: u16,
    mut visit: impl FnMut(&InetResponse),
) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    for family in [AF_INET, AF_INET6] {
        ask(&socket, family, protocol, states, port)?;
        while collect(&socket, &mut visit)? {}
    }
    Ok(())
}

fn ask(socket: &Socket, family: u8, protocol: u8, states: &StateFlags, port: u16) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut socket_id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
    socket_id.source_port = port;
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states: states.clone(),
        socket_id,
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(drop)
}

/// Takes one packet in; tells whether more will come.
fn collect(socket: &Socket, visit: &mut impl FnMut(&InetResponse)) -> io::Result<bool> {
    let (packet, _) = socket.recv_from_full()?;
    let mut rest = packet.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
        let length = (message.header.length as usize).next_multiple_of(4).max(16);
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                visit(&response);
            }
            NetlinkPayload::Done(_) => return Ok(false),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, os::fd::AsRawFd, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn a_listener_is_listed_until_it_is_closed() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let link = format!("/proc/self/fd/{}", listener.as_raw_fd());
            let inode = SocketInode(fs::metadata(link).unwrap().ino());
            assert!(listening().unwrap().contains(&inode), "{address}");
            drop(listener);
            assert!(!listening().unwrap().contains(&inode), "{address}");
        }
    }

    #[test]
    fn a_listener_is_full_while_nobody_accepts() {
        use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&socket, 1).unwrap();
        let listener = TcpListener::from(socket);
        let (address, port) = (listener.local_addr().unwrap(), listener.local_addr().unwrap().port());
        assert!(!is_full(port).unwrap());
        let waiting: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        assert!(is_full(port).unwrap());
        drop(listener.accept().unwrap());
        assert!(!is_full(port).unwrap());
        drop((listener, waiting));
        assert!(!is_full(port).unwrap(), "nobody listens there");
    }
}
