//! A line to the proxy: one question, one answer.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
};

use mirrord_protocol::{
    fault::Fault,
    proxy::{
        FromProxy, ToProxy,
        lineage::Hello,
        sockets::{SocketAnswer, SocketQuestion},
    },
    version::Version,
    wire::{self, MAX_PACKET},
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{Interest, unix::AsyncFd};

use super::nonsense;
use crate::proxy::rights;

/// A connection to the proxy's socket for layers, greeted.
#[derive(Debug)]
pub(crate) struct Line {
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

impl Line {
    /// Says hello.
    pub(super) async fn open(address: &str) -> Result<Self, Fault> {
        let mut line = Self { socket: connect(address)?, buffer: vec![0; MAX_PACKET] };
        let hello = Hello {
            version: Version::OURS,
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            program: "mirrord".to_owned(),
            settings: false,
        };
        match line.ask(&ToProxy::Hello(hello)).await? {
            (FromProxy::Welcome(_), _) => Ok(line),
            _ => Err(nonsense()),
        }
    }

    /// Asks. A refusal is a fault.
    pub(crate) async fn ask(&mut self, question: &ToProxy) -> Result<(FromProxy, Option<OwnedFd>), Fault> {
        let question = wire::encode(question).map_err(|error| malformed(&error))?;
        let send = |socket: &OwnedFd| rights::send(socket, &[io::IoSlice::new(&question)], None);
        self.socket.async_io(Interest::WRITABLE, send).await.map_err(gone)?;
        let mut descriptors = VecDeque::new();
        let buffer = &mut self.buffer;
        let receive = |socket: &OwnedFd| rights::receive(socket.as_fd(), buffer, &mut descriptors);
        let n_received = self.socket.async_io(Interest::READABLE, receive).await.map_err(gone)?;
        if n_received == 0 {
            return Err(gone(io::ErrorKind::UnexpectedEof.into()));
        }
        match wire::decode(&self.buffer[..n_received]).map_err(|error| malformed(&error))? {
            FromProxy::Failed(fault) => Err(fault),
            answer => Ok((answer, descriptors.pop_front())),
        }
    }

    /// Asks about a socket.
    pub(super) async fn socket(
        &mut self,
        question: SocketQuestion,
    ) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        match self.ask(&ToProxy::Socket(question)).await? {
            (FromProxy::Socket(answer), descriptor) => Ok((answer, descriptor)),
            _ => Err(nonsense()),
        }
    }
}

fn connect(address: &str) -> Result<AsyncFd<OwnedFd>, Fault> {
    let name = SocketAddrUnix::new_abstract_name(address.trim_start_matches('@').as_bytes());
    let name = name.map_err(io::Error::from)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
    // It takes no longer than the kernel's own work: whether the proxy accepts is another matter.
    rustix::net::connect(&socket, &name).map_err(|errno| gone(errno.into()))?;
    rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
    Ok(rights::watch(socket)?)
}

fn gone(_why: io::Error) -> Fault {
    Fault::with_words(libc::EPIPE, "the session's proxy is gone")
}

fn malformed(error: &dyn std::error::Error) -> Fault {
    Fault::with_words(libc::EPROTO, error.to_string())
}
