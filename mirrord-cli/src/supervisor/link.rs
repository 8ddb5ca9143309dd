//! One question to the proxy and its answer, as a layer asks: connections, as many as workers ask at once.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mirrord_protocol::{
    agent::{FromAgent, ToAgent},
    frame::{FrameReader, encode_frame},
    id::RequestId,
    proxy::{FromProxy, ToProxy, direct, lineage::Hello},
    version::Version,
    wire::{self, MAX_PACKET},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
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

impl Reply {
    /// An answer with what came beside it, if those fit one another.
    fn new(answer: FromProxy, descriptors: Vec<OwnedFd>) -> Result<Self, LinkError> {
        if answer.n_descriptors() == descriptors.len() {
            Ok(Self { answer, descriptors })
        } else {
            Err(LinkError)
        }
    }
}

/// Where the proxy listens, and connections that nobody uses.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddrUnix,
    idle: Mutex<Vec<OwnedFd>>,
    /// Lanes to the agent that nobody uses.
    lanes: Mutex<Vec<OwnedFd>>,
    /// Whether there are lanes in this session, as far as is known.
    has_lanes: AtomicBool,
}

impl Link {
    /// For the proxy at an address (`@name`, or a path).
    pub(super) fn new(address: &str) -> rustix::io::Result<Self> {
        let address = match address.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(address),
        };
        let (idle, lanes) = (Mutex::default(), Mutex::default());
        Ok(Self { address: address?, idle, lanes, has_lanes: AtomicBool::new(true) })
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

    /// Asks, and waits a bounded time. `wait` is called with what the answer will come by, before that is read.
    pub(super) fn ask(
        &self,
        question: &ToProxy,
        descriptor: Option<BorrowedFd<'_>>,
        wait: &dyn Fn(BorrowedFd<'_>),
    ) -> Result<Reply, LinkError> {
        if descriptor.is_none()
            && let Some(reply) = self.ask_agent(question, wait)
        {
            return reply;
        }
        let connection = self.send(question, descriptor)?;
        wait(connection.as_fd());
        if !is_readable(connection.as_fd(), PATIENCE)? {
            return Err(LinkError);
        }
        self.finish(connection)
    }

    /// Asks the agent itself; nothing if the proxy is to be asked.
    fn ask_agent(
        &self,
        question: &ToProxy,
        wait: &dyn Fn(BorrowedFd<'_>),
    ) -> Option<Result<Reply, LinkError>> {
        let lane = self.begin_at_agent(question, 1)?;
        wait(lane.as_fd());
        let mut replies = self.finish_at_agent(lane, 1);
        Some(replies.pop().ok_or(LinkError))
    }

    /// Asks the agent the same so many times, and gives the answers that come; none where it cannot be asked itself.
    pub(super) fn ask_often(&self, question: &ToProxy, n_times: usize) -> Vec<Reply> {
        match self.begin_at_agent(question, n_times) {
            Some(lane) => self.finish_at_agent(lane, n_times),
            None => Vec::new(),
        }
    }

    fn begin_at_agent(&self, question: &ToProxy, n_times: usize) -> Option<OwnedFd> {
        if !self.has_lanes.load(Ordering::Relaxed) {
            return None;
        }
        let call = direct::call(question)?;
        let pooled = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(lane) = pooled.or_else(|| self.open_lane()) else {
            self.has_lanes.store(false, Ordering::Relaxed);
            return None;
        };
        let frame = encode_frame(&ToAgent { id: RequestId(0), call, descriptor: false }).ok()?;
        // An agent that is gone has not seen it: the proxy has words for that.
        send_all(&lane, &frame.repeat(n_times)).ok()?;
        Some(lane)
    }

    fn finish_at_agent(&self, lane: OwnedFd, n_times: usize) -> Vec<Reply> {
        let mut answers = Answers::default();
        let replies: Vec<Reply> = (0..n_times).map_while(|_| answers.next(&lane).ok()).collect();
        if replies.len() == n_times {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            if lanes.len() < N_POOLED {
                lanes.push(lane);
            }
        }
        replies
    }

    fn open_lane(&self) -> Option<OwnedFd> {
        let connection = self.send(&ToProxy::Lane, None).ok()?;
        if !is_readable(connection.as_fd(), PATIENCE).ok()? {
            return None;
        }
        let lane = self.finish(connection).ok()?.descriptors.pop()?;
        sockopt::set_socket_timeout(&lane, sockopt::Timeout::Recv, Some(PATIENCE)).ok()?;
        Some(lane)
    }

    /// Asks what only the network can answer: waits as long as the asker does.
    pub(super) fn ask_patiently(
        &self,
        question: &ToProxy,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Reply, LinkError> {
        let connection = self.send(question, None)?;
        while !is_readable(connection.as_fd(), GLANCE)? {
            if !is_wanted() {
                return Err(LinkError);
            }
        }
        self.finish(connection)
    }

    /// Asks by a connection that nobody uses, or a fresh one.
    fn send(&self, question: &ToProxy, descriptor: Option<BorrowedFd<'_>>) -> Result<OwnedFd, LinkError> {
        let pooled = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match pooled {
            Some(connection) if send(connection.as_fd(), question, descriptor).is_ok() => Ok(connection),
            _ => {
                let (fresh, _) = self.greet(std::process::id().cast_signed(), "supervisor", false)?;
                send(fresh.as_fd(), question, descriptor)?;
                Ok(fresh)
            }
        }
    }

    /// Reads the answer, and keeps the connection.
    fn finish(&self, connection: OwnedFd) -> Result<Reply, LinkError> {
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

fn send_all(lane: &OwnedFd, mut bytes: &[u8]) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        match rustix::net::send(lane, bytes, SendFlags::NOSIGNAL) {
            Ok(n_sent) => bytes = &bytes[n_sent..],
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError),
        }
    }
    Ok(())
}

/// Answers of the agent's, as they come by a lane.
#[derive(Default)]
struct Answers {
    frames: FrameReader,
    descriptors: Vec<OwnedFd>,
}

impl Answers {
    /// The next one.
    fn next(&mut self, lane: &OwnedFd) -> Result<Reply, LinkError> {
        let mut piece = [0; 4096];
        loop {
            if let Some(frame) = self.frames.next_frame().map_err(|_| LinkError)? {
                let FromAgent::Answer { outcome, .. } = wire::decode(&frame).map_err(|_| LinkError)? else {
                    return Err(LinkError);
                };
                let answer = direct::answer(outcome);
                let n_own = answer.n_descriptors().min(self.descriptors.len());
                return Reply::new(answer, self.descriptors.drain(..n_own).collect());
            }
            let n_read = receive_piece(lane.as_fd(), &mut piece, &mut self.descriptors)?;
            self.frames.feed(&piece[..n_read]);
        }
    }
}

fn receive(socket: BorrowedFd<'_>) -> Result<Reply, LinkError> {
    let mut descriptors = Vec::new();
    // Its length is asked first, so that no more memory is touched than it needs.
    let length = loop {
        match rustix::net::recv(socket, &mut [0_u8; 0], RecvFlags::PEEK | RecvFlags::TRUNC) {
            Ok((_, length)) => break length,
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError),
        }
    };
    let mut bytes = vec![0; length.min(MAX_PACKET)];
    let n_read = receive_piece(socket, &mut bytes, &mut descriptors)?;
    Reply::new(wire::decode(&bytes[..n_read]).map_err(|_| LinkError)?, descriptors)
}

/// Receives once, and appends the descriptors that came along.
fn receive_piece(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<usize, LinkError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let n_read = loop {
        let mut buffers = [IoSliceMut::new(bytes)];
        match rustix::net::recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes > 0 => break message.bytes,
            Err(Errno::INTR) => {}
            _ => return Err(LinkError),
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(arrived) = message {
            descriptors.extend(arrived);
        }
    }
    Ok(n_read)
}
