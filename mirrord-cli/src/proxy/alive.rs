//! Which sockets are there: the kernel's own list (`sock_diag(7)`).

use std::{collections::HashSet, io};

use mirrord_protocol::id::SocketInode;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

/// The inodes of all TCP sockets that listen in this network namespace.
pub(crate) fn listening() -> io::Result<HashSet<SocketInode>> {
    list(IPPROTO_TCP, &StateFlags::LISTEN)
}

/// The inodes of all UDP sockets of this network namespace that have an address.
pub(crate) fn datagrams() -> io::Result<HashSet<SocketInode>> {
    list(IPPROTO_UDP, &StateFlags::all())
}

fn list(protocol: u8, states: &StateFlags) -> io::Result<HashSet<SocketInode>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut inodes = HashSet::new();
    for family in [AF_INET, AF_INET6] {
        ask(&socket, family, protocol, states)?;
        while collect(&socket, &mut inodes)? {}
    }
    Ok(inodes)
}

fn ask(socket: &Socket, family: u8, protocol: u8, states: &StateFlags) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let socket_id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
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
fn collect(socket: &Socket, inodes: &mut HashSet<SocketInode>) -> io::Result<bool> {
    let (packet, _) = socket.recv_from_full()?;
    let mut rest = packet.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
        let length = (message.header.length as usize).next_multiple_of(4).max(16);
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                inodes.insert(SocketInode(u64::from(response.header.inode)));
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
}
