//! An agent with a port, and the proxy's end of a trunk to it, whose connections a story can cut.

use std::{
    future::Future,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    pin::Pin,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use mirrord_protocol::{
    agent::{FromAgent, control::LogLine, outgoing::Destination},
    chunk::Chunk,
};
use mirrord_tests::{eventually::eventually, pod::Pod};
use mirrord_trunk::{
    Dial, Near, NearEvent, NearOptions, Strand,
    pinned::{self, Identity, PublicKey},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::UnboundedReceiver,
};

use crate::envoy::{Lane, SOON, Session, program};

/// An agent that listens.
pub(crate) struct Listening {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) key: Option<PublicKey>,
}

impl Listening {
    /// In this pod.
    pub(crate) fn of(pod: &Pod) -> Self {
        Self::start(Command::new(program()).args(["--target-pid", &pod.pid().to_string()]))
    }

    /// As told; it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.args(["--listen", "0"]).stdout(Stdio::piped()).spawn().expect("the agent can be started");
        let mut words = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut words).unwrap();
        let mut words = words.trim_end().split(' ');
        assert_eq!((words.next(), words.next()), (Some("mirrord-agent"), Some("ready")));
        let mut value = |name: &str| {
            let word = words.next().expect("a word more").split_once('=').expect("a name and a value");
            assert_eq!(word.0, name);
            word.1.to_owned()
        };
        assert_eq!(value("version"), env!("CARGO_PKG_VERSION"));
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), value("port").parse().unwrap());
        let key = Some(value("key")).filter(|key| key != "none").map(|key| key.parse().unwrap());
        Self { child, address, key }
    }

    /// A trunk to it.
    pub(crate) fn trunk(&self) -> Trunk {
        Trunk::to(Gate::new(self.address)).unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        eventually("the agent ends", SOON, || self.child.try_wait().unwrap())
    }

    /// Whether it has not ended.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What strands pass through.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Posts>);

struct Posts {
    address: SocketAddr,
    keys: Option<(Identity, PublicKey)>,
    is_shut: AtomicBool,
    strands: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// An open one.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::locked(address, None)
    }

    /// One for whoever has these keys: ours, and the agent's.
    pub(crate) fn locked(address: SocketAddr, keys: Option<(Identity, PublicKey)>) -> Self {
        let (is_shut, strands) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Posts { address, keys, is_shut, strands }))
    }

    /// Cuts every strand, and lets no further one through.
    pub(crate) fn shut(&self) {
        let mut strands = self.0.strands.lock().unwrap();
        self.0.is_shut.store(true, SeqCst);
        for strand in strands.drain(..) {
            let _ = strand.shutdown(Shutdown::Both);
        }
    }

    fn admit(&self, stream: &TcpStream) -> io::Result<()> {
        let mut strands = self.0.strands.lock().unwrap();
        if self.0.is_shut.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        strands.push(stream.try_clone()?);
        Ok(())
    }

    /// Lets them through again.
    pub(crate) fn open(&self) {
        self.0.is_shut.store(false, SeqCst);
    }
}

impl Dial for Gate {
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>> {
        Box::pin(async {
            let stream = tokio::net::TcpStream::connect(self.0.address).await?.into_std()?;
            self.admit(&stream)?;
            let strand: Strand = Box::new(tokio::net::TcpStream::from_std(stream)?);
            match &self.0.keys {
                Some((ours, theirs)) => pinned::connect(strand, ours, theirs).await,
                None => Ok(strand),
            }
        })
    }
}

/// The proxy's end.
pub(crate) struct Trunk {
    near: Near,
    events: UnboundedReceiver<NearEvent>,
    pub(crate) gate: Gate,
    runtime: Runtime,
}

impl Trunk {
    /// Connects through this gate.
    pub(crate) fn to(gate: Gate) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let connected = runtime.block_on(Near::connect(gate.clone(), NearOptions::default()));
        match connected {
            Ok((near, events)) => Ok(Self { near, events, gate, runtime }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A lane of which nothing was said yet.
    pub(crate) fn lane(&self) -> Lane {
        let _within = self.runtime.enter();
        let stream = self.near.open().unwrap();
        stream.set_nonblocking(false).unwrap();
        Lane::of(stream)
    }

    /// A session that has been welcomed.
    pub(crate) fn session(&self, owner: &str) -> Session {
        Session::begin(self.lane(), owner).unwrap_or_else(|words| panic!("the agent refuses: {words}"))
    }

    /// Goes in order, and waits until the agent knows.
    pub(crate) fn part(mut self) {
        let within = self.runtime.enter();
        self.near.part();
        drop(within);
        while self.next_event().is_some() {}
    }

    /// Is killed.
    pub(crate) fn die(self) {
        self.gate.shut();
        self.runtime.shutdown_background();
    }

    /// The next thing that befalls it; none at the end.
    pub(crate) fn next_event(&mut self) -> Option<NearEvent> {
        let events = &mut self.events;
        let next = async { tokio::time::timeout(SOON, events.recv()).await };
        self.runtime.block_on(next).expect("something befalls the trunk")
    }
}

/// Whether a destination that the agent reaches echoes what is sent to it.
pub(crate) fn echoes(lane: Lane, session: &Session, to: SocketAddr) -> bool {
    let (mut lane, outcome) = lane.connect(session, Destination::Tcp(to));
    outcome.unwrap();
    lane.send(b"anybody");
    lane.send_chunk(Chunk::Finished);
    lane.read_to_end() == (b"anybody".to_vec(), Chunk::Finished)
}

/// The next log line of a session.
pub(crate) fn next_log(session: &mut Session) -> LogLine {
    loop {
        if let FromAgent::Log(line) = session.lane.hear() {
            return line;
        }
    }
}

/// How long it takes to give a cut off session's ports back, and to be sure of it.
pub(crate) const RESTORED: Duration = Duration::from_secs(10);
