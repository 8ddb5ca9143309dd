//! A redirected connection: where it arrives, and the address that its peer asked for.
//!
//! One socket for each family, so that a guest that listens on IPv4 is never handed a socket of the other one.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
};

/// Long enough for a burst; the kernel cuts it to its own limit.
const BACKLOG: u32 = 4096;

/// How long to let the world recover when no connection can be accepted (out of descriptors or memory).
const RECOVERY: Duration = Duration::from_millis(50);

/// A connection that was redirected, and from which nothing has been read.
#[derive(Debug)]
pub(super) struct Redirected {
    /// The connection.
    pub(super) stream: TcpStream,
    /// Its real peer.
    pub(super) peer: SocketAddr,
    /// The address that the peer asked for.
    pub(super) local: SocketAddr,
}

/// Listens for redirected IPv4 connections.
pub(super) fn listen_v4() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    socket.listen(BACKLOG)
}

/// Listens for redirected IPv6 connections.
pub(super) fn listen_v6() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    socket.bind((Ipv6Addr::UNSPECIFIED, 0).into())?;
    socket.listen(BACKLOG)
}

/// Accepts until nobody wants more.
pub(super) async fn accept_all(listener: TcpListener, arrivals: mpsc::UnboundedSender<Redirected>) {
    loop {
        let stream = tokio::select! {
            () = arrivals.closed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a redirected connection");
                    tokio::time::sleep(RECOVERY).await;
                    continue;
                }
            },
        };
        match Redirected::from_stream(stream) {
            Ok(redirected) => {
                let _ = arrivals.send(redirected);
            }
            Err(error) => tracing::debug!(%error, "closed a connection that was not redirected"),
        }
    }
}

impl Redirected {
    /// Asks the kernel for the addresses. A connection that was not redirected is reset.
    fn from_stream(stream: TcpStream) -> io::Result<Self> {
        let outcome = (stream.peer_addr(), original_addr(&stream));
        match outcome {
            (Ok(peer), Ok(local)) => Ok(Self { peer, local: with_scope(local, peer), stream }),
            (Err(error), _) | (_, Err(error)) => {
                reset(stream);
                Err(error)
            }
        }
    }

    /// Takes a connection back that was passed to a client.
    ///
    /// # Errors
    /// When it is none that was redirected.
    pub(super) fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        if getsockopt(&socket, sockopt::SockType)? != nix::sys::socket::SockType::Stream {
            return Err(io::Error::from_raw_os_error(libc::EPROTOTYPE));
        }
        let stream = std::net::TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        Self::from_stream(TcpStream::from_std(stream)?)
    }

    /// The connection as a client gets it: blocking, as a socket is that was just accepted.
    pub(super) fn into_socket(self) -> io::Result<OwnedFd> {
        let stream = self.stream.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream.into())
    }
}

/// Ends a connection by a reset, as the kernel does for a port where nobody listens.
pub(super) fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// The address that the peer asked for, if it was another than the one that it reached.
fn original_addr(stream: &TcpStream) -> io::Result<SocketAddr> {
    let reached = stream.local_addr()?;
    let fd = stream.as_fd();
    let original = match reached {
        SocketAddr::V4(_) => {
            let raw = getsockopt(&fd, sockopt::OriginalDst)?;
            let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
            SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into()
        }
        SocketAddr::V6(_) => {
            let raw = getsockopt(&fd, sockopt::Ip6tOriginalDst)?;
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            SocketAddrV6::new(ip, u16::from_be(raw.sin6_port), 0, raw.sin6_scope_id).into()
        }
    };
    if original == reached { Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)) } else { Ok(original) }
}

/// A link-local address means nothing without its link, which only the peer's address tells.
fn with_scope(local: SocketAddr, peer: SocketAddr) -> SocketAddr {
    match (local, peer) {
        (SocketAddr::V6(mut local), SocketAddr::V6(peer)) if local.scope_id() == 0 => {
            local.set_scope_id(peer.scope_id());
            local.into()
        }
        (local, _) => local,
    }
}
