//! A session without a command: an order, a proxy, an agent, a pod.

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use mirrord_config::handoff::DataPath;
use mirrord_core::rules::{Rules, incoming::IncomingRules, outgoing::OutgoingRules};
use mirrord_protocol::{
    agent::{env::EnvironmentCall, incoming::Wish},
    frame::{FrameReader, encode_frame},
    wire,
};
use mirrord_tests::{pod::Pod, programs};

use crate::{
    layer::Layer,
    start::{Order, Place, Ready, Report},
};

static N_SESSIONS: AtomicU32 = AtomicU32::new(0);

/// A session that stands.
pub(crate) struct Stage {
    pub(crate) pod: Pod,
    pub(crate) ready: Ready,
    /// The guest's main process: it reads its standard input until the end.
    pub(crate) guest: std::process::Child,
}

/// An order as the command would write it, for a target.
pub(crate) fn order(place: Place, data_path: DataPath, guest_pid: Option<i32>) -> Order {
    let number = N_SESSIONS.fetch_add(1, Ordering::Relaxed);
    let agent = std::env::var_os("MIRRORD_TEST_AGENT")
        .map_or_else(|| programs::built().join("mirrord-agent"), PathBuf::from);
    Order {
        session_id: format!("{:x}{number:04x}", std::process::id()),
        owner: "a story".to_owned(),
        guest_pid,
        screen: None,
        place,
        agent,
        rules: Rules {
            outgoing: OutgoingRules { tcp: true, udp: true, ..OutgoingRules::default() },
            incoming: IncomingRules { wish: Some(Wish::Steal), ..IncomingRules::default() },
            ..Rules::default()
        },
        mapping: vec![("^/mapped/(.*)$".to_owned(), "/data/$1".to_owned())],
        environment: Some(EnvironmentCall::default()),
        data_path,
        hands_over: false,
        allows_rings: false,
        start_dir: PathBuf::from("/"),
        debugger_ports: Vec::new(),
        start_idle_timeout: 60,
        idle_timeout: 1,
        log: std::env::var_os("MIRRORD_TEST_PROXY_LOG").map(PathBuf::from),
        card: None,
        log_level: "debug".to_owned(),
        json_log: false,
        agent_log_level: "info".to_owned(),
    }
}

/// Starts a proxy and waits for its last report.
pub(crate) fn run(order: &Order) -> Report {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let status =
        programs::command().arg("intproxy").stdin(Stdio::from(OwnedFd::from(theirs))).status().unwrap();
    assert!(status.success());
    ours.write_all(&encode_frame(order).unwrap()).unwrap();
    let mut reader = FrameReader::default();
    loop {
        if let Some(frame) = reader.next_frame().unwrap() {
            match wire::decode(&frame).unwrap() {
                Report::Progress(_) => {}
                Report::Warning(words) => panic!("warned: {words}"),
                last => return last,
            }
        }
        let mut piece = [0; 4096];
        let n_read = ours.read(&mut piece).unwrap();
        assert_ne!(n_read, 0, "the proxy said nothing");
        reader.feed(&piece[..n_read]);
    }
}

/// A process that lives until it is told otherwise.
pub(crate) fn guest() -> std::process::Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

impl Stage {
    /// A session in a pod of its own.
    pub(crate) fn new(data_path: DataPath) -> Self {
        Self::with(data_path, |_| {})
    }

    /// The same, with its order changed.
    pub(crate) fn with(data_path: DataPath, change: impl FnOnce(&mut Order)) -> Self {
        let pod = Pod::start().unwrap();
        let guest = guest();
        let guest_pid = i32::try_from(guest.id()).ok();
        let mut order = order(Place::Process(pod.pid()), data_path, guest_pid);
        change(&mut order);
        match run(&order) {
            Report::Ready(ready) => Self { pod, ready, guest },
            report => panic!("{report:?}"),
        }
    }

    /// A layer that has said hello.
    pub(crate) fn layer(&self) -> Layer {
        Layer::hello(&self.ready.address)
    }

    /// The proxy's process.
    pub(crate) fn proxy_pid(&self) -> i32 {
        Layer::connect(&self.ready.address).peer_pid()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.guest.kill();
        let _ = self.guest.wait();
    }
}
