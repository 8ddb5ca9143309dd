//! The proxy's side of an agent, as a story speaks it: start it, open lanes, ask, and be answered.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    sync::LazyLock,
    time::Duration,
};

use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall, FromAgent, Hello, LaneKey, LaneOpen, ToAgent, Welcome,
        fs::{FsAnswer, FsCall},
        outgoing::{ConnectCall, Connected, Destination},
    },
    chunk::{Chunk, HEADER},
    fault::Fault,
    frame::{FrameReader, encode_frame},
    id::RequestId,
    version::Version,
    wire,
};
use mirrord_tests::{eventually::eventually, pod::Pod, programs::built};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use serde::{Serialize, de::DeserializeOwned};

/// How long a story waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The pod of all stories that leave it as it was. It ends with this process.
pub(crate) static POD: LazyLock<Pod> = LazyLock::new(|| Pod::start().expect("a pretend pod can be made"));

/// An agent that runs.
pub(crate) struct Agent {
    child: Child,
    lanes: Option<OwnedFd>,
}

impl Agent {
    /// In the pod of all stories.
    pub(crate) fn in_pod() -> Self {
        Self::of(&POD)
    }

    /// In this pod.
    pub(crate) fn of(pod: &Pod) -> Self {
        Self::start(Command::new(program()).arg("--target-pid").arg(pod.pid().to_string()))
    }

    /// As told.
    pub(crate) fn start(command: &mut Command) -> Self {
        let kind = SockType::SeqPacket;
        let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let inherited = theirs.as_raw_fd();
        // SAFETY: Between fork and exec only calls on descriptors are made.
        unsafe { command.pre_exec(move || leave_as_third(inherited)) };
        let child = command.spawn().expect("the agent can be started");
        Self { child, lanes: Some(ours) }
    }

    /// A lane of which nothing was said yet.
    pub(crate) fn lane(&self) -> Lane {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let descriptors = [theirs.as_raw_fd()];
        let lanes = self.lanes.as_ref().expect("the agent has its lanes").as_raw_fd();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<()>(lanes, &[IoSlice::new(&[0])], &rights, MsgFlags::empty(), None).unwrap();
        Lane::of(ours)
    }

    /// A session that has been welcomed.
    pub(crate) fn session(&self) -> Session {
        Session::begin(self.lane(), "a story").unwrap_or_else(|words| panic!("the agent refuses: {words}"))
    }

    /// A lane that is connected there, and what the agent says of it.
    pub(crate) fn connect(&self, session: &Session, to: Destination) -> (Lane, Result<Connected, Fault>) {
        self.lane().connect(session, to)
    }

    /// The proxy is gone: the agent gets no further lane.
    pub(crate) fn leave(&mut self) {
        self.lanes = None;
    }

    /// Waits for the agent's own end.
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        eventually("the agent ends", SOON, || self.child.try_wait().unwrap())
    }

    /// The agent's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.leave();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a descriptor the third, to be inherited.
fn leave_as_third(descriptor: i32) -> io::Result<()> {
    // Where it is that already, it would only keep being closed on exec.
    let outcome = if descriptor == 3 {
        // SAFETY: The call has no effect on memory.
        unsafe { libc::fcntl(3, libc::F_SETFD, 0) }
    } else {
        // SAFETY: The third descriptor of this process, which only waits for exec, is nobody's.
        unsafe { libc::dup2(descriptor, 3) }
    };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The agent's program.
pub(crate) fn program() -> PathBuf {
    let path =
        std::env::var_os("MIRRORD_TEST_AGENT").map_or_else(|| built().join("mirrord-agent"), PathBuf::from);
    assert!(path.exists(), "`{}` is missing: run `cargo xtask test`, or `cargo build`", path.display());
    path
}

/// One lane.
pub(crate) struct Lane {
    pub(crate) stream: UnixStream,
    frames: FrameReader,
    descriptors: VecDeque<OwnedFd>,
}

impl Lane {
    /// One whose other end an agent has, or will have.
    pub(crate) fn of(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, frames: FrameReader::default(), descriptors: VecDeque::new() }
    }

    /// Connected there, and what the agent says of it.
    pub(crate) fn connect(mut self, session: &Session, to: Destination) -> (Self, Result<Connected, Fault>) {
        self.say(&LaneOpen::Connect(session.key, ConnectCall { to }));
        let outcome = self.hear();
        (self, outcome)
    }

    /// Sends a frame.
    pub(crate) fn say<T: Serialize>(&mut self, value: &T) {
        self.stream.write_all(&encode_frame(value).unwrap()).unwrap();
    }

    /// The next frame.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> T {
        self.try_hear().unwrap().expect("the lane does not end yet")
    }

    /// The next frame; none at the end.
    pub(crate) fn try_hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(frame) = self.frames.next_frame().map_err(io::Error::other)? {
                return wire::decode(&frame).map(Some).map_err(io::Error::other);
            }
            if !self.read_piece()? {
                return Ok(None);
            }
        }
    }

    /// Reads one piece in, with what rides along; says whether there was one.
    fn read_piece(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 << 10];
        let mut space = nix::cmsg_space!([i32; 16]);
        let mut place = [IoSliceMut::new(&mut piece)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            // A receive with a time-out is never restarted by the kernel (`signal(7)`).
            match recvmsg::<()>(self.stream.as_raw_fd(), &mut place, Some(&mut space), flags) {
                Err(nix::errno::Errno::EINTR) => {}
                received => break received?,
            }
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = control {
                // SAFETY: The kernel has just given us these descriptors.
                self.descriptors
                    .extend(descriptors.into_iter().map(|it| unsafe { OwnedFd::from_raw_fd(it) }));
            }
        }
        let length = message.bytes;
        self.frames.feed(&piece[..length]);
        Ok(length > 0)
    }

    /// The oldest descriptor that has come.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Sends bytes as chunks.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(mirrord_protocol::chunk::MAX_CHUNK) {
            self.send_chunk(Chunk::Data(piece.len()));
            self.stream.write_all(piece).unwrap();
        }
    }

    /// Sends a header to an agent that may have closed the lane by now.
    pub(crate) fn try_send_chunk(&mut self, chunk: Chunk) {
        let _ = self.stream.write_all(&chunk.encode());
    }

    /// Sends a header.
    pub(crate) fn send_chunk(&mut self, chunk: Chunk) {
        self.stream.write_all(&chunk.encode()).unwrap();
    }

    fn read_exact(&mut self, place: &mut [u8]) -> io::Result<()> {
        let early = self.frames.buffer();
        let n_early = early.len().min(place.len());
        place[..n_early].copy_from_slice(&early.split_to(n_early));
        self.stream.read_exact(&mut place[n_early..])
    }

    /// The next header, and its bytes.
    pub(crate) fn next_chunk(&mut self) -> io::Result<(Chunk, Vec<u8>)> {
        let mut header = [0; HEADER];
        self.read_exact(&mut header)?;
        let chunk = Chunk::parse(header).map_err(io::Error::other)?;
        let mut bytes = match chunk {
            Chunk::Data(length) => vec![0; length],
            _ => Vec::new(),
        };
        self.read_exact(&mut bytes)?;
        Ok((chunk, bytes))
    }

    /// All bytes until an end, and the end.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, Chunk) {
        let mut all = Vec::new();
        loop {
            match self.next_chunk().unwrap() {
                (Chunk::Data(_), bytes) => all.extend_from_slice(&bytes),
                (end, _) => return (all, end),
            }
        }
    }

    /// At least so many bytes, before any end.
    pub(crate) fn read(&mut self, n_bytes: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < n_bytes {
            match self.next_chunk().unwrap() {
                (Chunk::Data(_), bytes) => all.extend_from_slice(&bytes),
                (end, _) => panic!("{end:?} after {} bytes of {n_bytes}", all.len()),
            }
        }
        all
    }
}

/// A session: its control lane.
pub(crate) struct Session {
    pub(crate) lane: Lane,
    pub(crate) key: LaneKey,
    last: RequestId,
}

/// What came of a call.
pub(crate) type Outcome = Result<(AgentAnswer, Option<OwnedFd>), Fault>;

impl Session {
    /// A session that has been welcomed, or the words of the refusal.
    pub(crate) fn begin(mut lane: Lane, owner: &str) -> Result<Self, String> {
        lane.say(&LaneOpen::Control(Hello { version: Version::OURS, owner: owner.to_owned() }));
        match lane.hear::<Welcome>() {
            Welcome::Settled(version, key) => {
                assert_eq!(version, Version::OURS);
                Ok(Self { lane, key, last: RequestId::default() })
            }
            Welcome::Refused(words) => Err(words),
        }
    }

    /// Asks without waiting, and returns the number of the call.
    pub(crate) fn ask(&mut self, call: AgentCall) -> RequestId {
        self.last = self.last.next();
        self.lane.say(&ToAgent { id: self.last, call, descriptor: false });
        self.last
    }

    /// The next answer.
    pub(crate) fn next_answer(&mut self) -> (RequestId, Outcome) {
        loop {
            match self.lane.hear() {
                FromAgent::Answer { id, outcome, descriptor } => {
                    let take = || self.lane.take_descriptor().expect("a descriptor rides along");
                    let riding = descriptor.then(take);
                    return (id, outcome.map(|answer| (answer, riding)));
                }
                FromAgent::Farewell(why) => panic!("the agent goes: {why:?}"),
                FromAgent::Arrival(_) | FromAgent::Log(_) => {}
            }
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call(&mut self, call: AgentCall) -> Outcome {
        let asked = self.ask(call);
        let (id, outcome) = self.next_answer();
        assert_eq!(id, asked);
        outcome
    }

    /// Asks about files.
    pub(crate) fn fs(&mut self, call: FsCall) -> Result<FsAnswer, i32> {
        match self.call(AgentCall::Fs(call)) {
            Ok((AgentAnswer::Fs(answer), _)) => Ok(answer),
            Ok((other, _)) => panic!("that is no answer about files: {other:?}"),
            Err(fault) => Err(fault.errno),
        }
    }

    /// Asks about files, and expects to be told that it is done.
    pub(crate) fn done(&mut self, call: FsCall) -> Result<(), i32> {
        self.fs(call).map(|answer| assert_eq!(answer, FsAnswer::Done))
    }
}

/// A path.
pub(crate) fn path(text: &str) -> GuestPath {
    GuestPath::from(text)
}
