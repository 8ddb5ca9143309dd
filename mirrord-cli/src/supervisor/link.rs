//! One question to the proxy and its answer, as a layer asks: connections, as many as workers ask at once.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use mirrord_protocol::{
    proxy::{FromProxy, ToProxy, lineage::Hello},
    version::Version,
    wire::{self, MAX_PACKET},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    },
};

/// How long a question may stay unanswered before the proxy counts as gone; connects are asked patiently.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often somebody who waits is asked whether he still does.
const GLANCE: Duration = Duration::from_millis(5);

const N_POOLED: usize = 32;

/// The proxy cannot be asked: it is gone, silent, or speaks nonsense.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkError;

/// An answer, and the descriptors that rode along.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: FromProxy,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Where the proxy listens, and connections that nobody uses.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddrUnix,
    idle: Mutex<Vec<OwnedFd>>,
}

impl Link {
    /// For the proxy at an address (`@name`, or a path).
    pub(super) fn new(address: &str) -> rustix::io::Result<Self> {
        let address = match address.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(address),
        };
        Ok(Self { address: address?, idle: Mutex::default() })
    }

    /// A connection that says hello for a process; with the first one come the settings.
    pub(super) fn greet(
        &self,
        pid: i32,
        program: &str,
        settings: bool,
    ) -> Result<(OwnedFd, Reply), LinkError> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|_| LinkError)?;
        while let Err(error) = rustix::net::connect(&socket, &self.address) {
            if error != Errno::INTR {
                return Err(LinkError);
            }
        }
        let hello = Hello { version: Version::OURS, pid, program: program.to_owned(), settings };
        send(socket.as_fd(), &ToProxy::Hello(hello), None)?;
        let reply = receive(socket.as_fd())?;
        match &reply.answer {
            FromProxy::Welcome(welcome) if welcome.version == Version::OURS => Ok((socket, reply)),
            _ => Err(LinkError),
        }
    }

    /// Keeps a connection for the next question.
    pub(super) fn keep(&self, connection: OwnedFd) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < N_POOLED {
            idle.push(connection);
        }
    }

    /// Asks, and waits a bounded time.
    pub(super) fn ask(
        &self,
        question: &ToProxy,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Reply, LinkError> {
        self.ask_while(question, descriptor, PATIENCE, &|| true)
    }

    /// Asks what only the network can answer: waits as long as the asker does.
    pub(super) fn ask_patiently(
        &self,
        question: &ToProxy,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Reply, LinkError> {
        self.ask_while(question, None, Duration::MAX, is_wanted)
    }

    fn ask_while(
        &self,
        question: &ToProxy,
        descriptor: Option<BorrowedFd<'_>>,
        patience: Duration,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Reply, LinkError> {
        let pooled = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) if send(connection.as_fd(), question, descriptor).is_ok() => connection,
            _ => {
                let (fresh, _) = self.greet(std::process::id().cast_signed(), "supervisor", false)?;
                send(fresh.as_fd(), question, descriptor)?;
                fresh
            }
        };
        if patience == Duration::MAX {
            while !is_readable(connection.as_fd(), GLANCE)? {
                if !is_wanted() {
                    return Err(LinkError);
                }
            }
        } else if !is_readable(connection.as_fd(), patience)? {
            return Err(LinkError);
        }
        let reply = receive(connection.as_fd())?;
        self.keep(connection);
        Ok(reply)
    }
}

fn is_readable(socket: BorrowedFd<'_>, patience: Duration) -> Result<bool, LinkError> {
    let limit =
        Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&limit)) {
            Ok(n_ready) => return Ok(n_ready > 0),
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError),
        }
    }
}

fn send(
    socket: BorrowedFd<'_>,
    question: &ToProxy,
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), LinkError> {
    let bytes = wire::encode(question).map_err(|_| LinkError)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(descriptor) = &descriptor {
        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(descriptor)));
    }
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError),
        }
    }
}

fn receive(socket: BorrowedFd<'_>) -> Result<Reply, LinkError> {
    let mut bytes = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let n_read = loop {
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes > 0 => break message.bytes,
            Err(Errno::INTR) => {}
            _ => return Err(LinkError),
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(arrived) = message {
            descriptors.extend(arrived);
        }
    }
    let answer: FromProxy = wire::decode(&bytes[..n_read]).map_err(|_| LinkError)?;
    if answer.n_descriptors() == descriptors.len() {
        Ok(Reply { answer, descriptors })
    } else {
        Err(LinkError)
    }
}
