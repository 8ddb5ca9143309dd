//! UDP sockets where the target stands, one for each lane of datagrams.
//!
//! The socket is never connected: one guest's socket may speak to many. What the network says against a datagram comes
//! by the socket's queue of errors (`IP_RECVERR`, `ip(7)`), which names the peer that it concerns.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd as _,
    sync::Arc,
};

use mirrord_core::addr::plain;
use mirrord_protocol::{
    agent::outgoing::{Datagram, DatagramCall},
    frame::encode_frame,
    wire,
};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use serde_bytes::ByteBuf;
use tokio::{
    io::Interest,
    net::{UdpSocket, UnixStream},
    sync::Mutex,
};

use crate::link::{self, LaneReader};

/// The most that a datagram can carry.
const MAX_DATAGRAM: usize = 64 << 10;

/// A socket with this address, or one that the kernel chooses.
///
/// # Errors
/// The kernel's.
pub(crate) fn bind(call: DatagramCall) -> io::Result<UdpSocket> {
    let domain = if call.bind.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(domain, SocketType::DGRAM, flags, None)?;
    // Whether the guest may is decided here, by its own socket.
    sockopt::set_socket_broadcast(&socket, true)?;
    if call.bind.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    receive_errors(socket.as_raw_fd(), call.bind.is_ipv6())?;
    rustix::net::bind(&socket, &call.bind)?;
    UdpSocket::from_std(socket.into())
}

/// From which address datagrams to another go: nothing is sent for it.
///
/// # Errors
/// The kernel's, where no way leads there.
pub(crate) fn route(to: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_broadcast(true)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

fn receive_errors(socket: i32, is_v6: bool) -> io::Result<()> {
    let set = |level, option| {
        let on: libc::c_int = 1;
        // SAFETY: The value is a local that lives on, and four bytes is its size.
        let outcome = unsafe { libc::setsockopt(socket, level, option, (&raw const on).cast(), 4) };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    if is_v6 {
        set(libc::IPPROTO_IPV6, libc::IPV6_RECVERR)?;
    }
    set(libc::IPPROTO_IP, libc::IP_RECVERR).or_else(|error| if is_v6 { Ok(()) } else { Err(error) })
}

/// Carries datagrams until the lane ends.
pub(crate) async fn carry(lane: &Arc<UnixStream>, mut reader: LaneReader, socket: &UdpSocket) {
    // Both directions write frames, and a frame is written whole.
    let lane = Mutex::new(lane);
    let outcome = tokio::select! {
        outcome = inward(&mut reader, &lane, socket) => outcome,
        outcome = outward(&lane, socket) => outcome,
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a lane of datagrams ends");
    }
}

/// From the lane to the network.
async fn inward(
    reader: &mut LaneReader,
    lane: &Mutex<&Arc<UnixStream>>,
    socket: &UdpSocket,
) -> io::Result<()> {
    let is_v6 = socket.local_addr()?.is_ipv6();
    while let Some(frame) = reader.next_frame().await.map_err(io::Error::other)? {
        match wire::decode(&frame).map_err(io::Error::other)? {
            Datagram::Data(to, bytes) => {
                if let Err(error) = send(socket, &bytes, as_sent(to, is_v6)).await {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    tell(lane, &Datagram::Failed(to, errno)).await?;
                }
            }
            // The guest's own network cannot refuse what it has received.
            Datagram::Failed(..) => {}
        }
    }
    Ok(())
}

async fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    match socket.send_to(bytes, to).await {
        // It may be the error of an earlier datagram, which the queue tells, too; this one was not sent then.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ECONNREFUSED | libc::EHOSTUNREACH)) => {
            socket.send_to(bytes, to).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// From the network to the lane.
async fn outward(lane: &Mutex<&Arc<UnixStream>>, socket: &UdpSocket) -> io::Result<()> {
    loop {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            match socket.try_io(Interest::ERROR, || next_error(socket)) {
                Ok(Some((peer, errno))) => tell(lane, &Datagram::Failed(plain(peer), errno)).await?,
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // An error that is not `WouldBlock` is a peer's, and its details are in the queue.
        if let Ok((bytes, from)) = receive(socket) {
            tell(lane, &Datagram::Data(plain(from), bytes)).await?;
        }
    }
}

thread_local! {
    /// Room for one datagram, of whatever socket: most sockets say little.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_DATAGRAM]);
}

/// Takes a datagram, without waiting.
fn receive(socket: &UdpSocket) -> io::Result<(ByteBuf, SocketAddr)> {
    ROOM.with_borrow_mut(|room| {
        let (length, from) = socket.try_recv_from(room)?;
        Ok((ByteBuf::from(&room[..length]), from))
    })
}

async fn tell(lane: &Mutex<&Arc<UnixStream>>, datagram: &Datagram) -> io::Result<()> {
    let frame = encode_frame(datagram).map_err(io::Error::other)?;
    link::send(*lane.lock().await, &frame, None).await
}

/// The oldest error of the queue: for whom, and which.
fn next_error(socket: &UdpSocket) -> io::Result<Option<(SocketAddr, i32)>> {
    let mut space = nix::cmsg_space!([u8; 128]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut space), flags)?;
    let errno = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            i32::try_from(error.ee_errno).ok()
        }
        _ => None,
    });
    let peer = message.address.and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|it| SocketAddr::new(IpAddr::V4(it.ip()), it.port()));
        v4.or_else(|| address.as_sockaddr_in6().map(|it| SocketAddr::new(IpAddr::V6(it.ip()), it.port())))
    });
    Ok(peer.zip(errno))
}

/// An address in the family of the socket.
fn as_sent(to: SocketAddr, is_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if is_v6 => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), to.port()),
        _ if is_v6 => to,
        _ => plain(to),
    }
}
