//! Descriptor 3: the socket through which the proxy hands over lanes.
//!
//! It is a unix socket that keeps packets apart (`SOCK_SEQPACKET`). Each packet is one byte and carries one connected
//! unix stream socket: a new lane. A packet that carries none is the proxy's farewell. Its end is the proxy's end.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, FromRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::{
    io::FdFlags,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketType, sockopt::socket_type,
    },
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::{io::unix::AsyncFd, net::UnixStream};

/// Where lanes come from.
#[derive(Debug)]
pub(crate) struct Lanes {
    socket: OwnedFd,
}

/// Lanes, within a runtime.
#[derive(Debug)]
pub(crate) struct Arriving {
    socket: AsyncFd<OwnedFd>,
    parted: AtomicBool,
}

impl Lanes {
    /// The socket that the proxy has left as descriptor 3.
    ///
    /// # Errors
    /// When descriptor 3 is no such socket.
    pub(crate) fn inherited() -> io::Result<Self> {
        const LANES: i32 = 3;
        // SAFETY: `fcntl` has no effect on memory.
        if unsafe { libc::fcntl(LANES, libc::F_GETFD) } == -1 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "descriptor 3 is not open"));
        }
        // SAFETY: Descriptor 3 is open, and by agreement with the proxy it is ours alone.
        let socket = unsafe { OwnedFd::from_raw_fd(LANES) };
        if socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "descriptor 3 is not a socket of packets",
            ));
        }
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket })
    }

    /// The lanes, from within the runtime that waits for them.
    ///
    /// # Errors
    /// When the kernel does not let us wait.
    pub(crate) fn arriving(self) -> io::Result<Arriving> {
        // SAFETY: The descriptor is owned, and stays what it is until it is dropped.
        let socket = unsafe { AsyncFd::register(self.socket) }?;
        Ok(Arriving { socket, parted: AtomicBool::default() })
    }
}

impl Arriving {
    /// The next lane; none when the proxy is gone. Safe to cancel.
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) async fn next(&self) -> io::Result<Option<UnixStream>> {
        loop {
            match self.socket.async_io(tokio::io::Interest::READABLE, receive).await? {
                Packet::Lane(descriptor) => match lane(descriptor) {
                    Ok(lane) => return Ok(Some(lane)),
                    Err(error) => tracing::warn!(%error, "what came as a lane is none"),
                },
                Packet::Farewell => self.parted.store(true, Relaxed),
                // Its other end is told by the end of it.
                Packet::Lost => tracing::error!("lost a lane: there is no number left for it"),
                Packet::End => return Ok(None),
            }
        }
    }
}

impl Arriving {
    /// Whether the proxy has said that it goes, and was not just gone.
    pub(crate) fn has_parted(&self) -> bool {
        self.parted.load(Relaxed)
    }
}

fn lane(descriptor: OwnedFd) -> io::Result<UnixStream> {
    if socket_type(&descriptor)? != SocketType::STREAM {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// What comes by the socket.
enum Packet {
    Lane(OwnedFd),
    /// A lane came, and there was no number for it.
    Lost,
    /// A packet that carries nothing: the proxy has delivered all, and goes.
    Farewell,
    End,
}

fn receive(socket: &OwnedFd) -> io::Result<Packet> {
    let mut byte = [0; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut place = [IoSliceMut::new(&mut byte)];
    let received = rustix::net::recvmsg(socket.as_fd(), &mut place, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    let descriptor = descriptors.next().and_then(|mut rights| rights.next());
    Ok(match descriptor {
        Some(descriptor) => Packet::Lane(descriptor),
        None if received.flags.contains(ReturnFlags::CTRUNC) => Packet::Lost,
        None if received.bytes == 0 => Packet::End,
        None => Packet::Farewell,
    })
}

/// As many descriptors as we may have: each connection of a guest needs some.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of descriptors stays");
    }
}
