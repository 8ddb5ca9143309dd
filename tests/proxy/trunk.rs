//! Sessions whose agent is elsewhere: what a cut connection, and an agent that is gone, mean to a guest.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, SocketAddrV4, TcpStream},
    os::{fd::AsRawFd, unix::fs::FileExt},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};
use mirrord_tests::{
    eventually::eventually,
    pod::{
        Pod,
        root::{BIG_SIZE, pattern},
    },
};

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt},
    time::{TimeVal, TimeValLike},
};

use crate::{
    envoy::{Envoy, Line},
    layer::{Layer, inode},
    stage::{order, run},
    start::{AddressPlace, Place, Ready, Report, StandardError},
};

/// Somewhere in a file that is too big to come whole.
const MIDDLE: u64 = BIG_SIZE as u64 / 2;

const SOON: Duration = Duration::from_secs(20);

/// A session over a line.
struct Far {
    line: Line,
    envoy: Envoy,
    pod: Pod,
    ready: Ready,
    guest: Child,
}

impl Far {
    /// `patience` is how long each side waits for the other, in seconds.
    fn new(patience: u32) -> Self {
        let pod = Pod::start().unwrap();
        let envoy = Envoy::start(pod.pid());
        let line = Line::to(envoy.address);
        let mut guest = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let place = Place::Address(AddressPlace {
            address: line.address,
            communication_timeout: patience,
            startup_timeout: patience.into(),
            ping_interval: 1,
        });
        let mut order = order(place, DataPath::Proxied, i32::try_from(guest.id()).ok());
        order.screen = Some(screen(guest.stderr.as_ref().unwrap()));
        match run(&order) {
            Report::Ready(ready) => Self { line, envoy, pod, ready, guest },
            report => {
                guest.kill().unwrap();
                panic!("{report:?}")
            }
        }
    }

    fn layer(&self) -> Layer {
        Layer::hello(&self.ready.address)
    }

    /// A stream to a service of the pod, as the layer makes one.
    fn reach(layer: &Layer, port: u16) -> TcpStream {
        let (SocketAnswer::Relay(relay), _) = layer.socket(SocketQuestion::StreamRelay).unwrap() else {
            panic!("no relay")
        };
        let stream = TcpStream::connect(relay).unwrap();
        let (inode, from) = (inode(&stream), stream.local_addr().unwrap());
        let to = ([10, 77, 0, 2], port).into();
        let question =
            SocketQuestion::Connect { inode, from, to, n_plugged: 0, send_buffer: None, wait: true };
        assert_eq!(layer.socket(question).unwrap().0, SocketAnswer::Connected);
        stream
    }

    /// The lines that the developer has read by the end.
    fn told(mut self) -> Vec<String> {
        drop(self.guest.stdin.take());
        let mut told = String::new();
        self.guest.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        told.lines().map(str::to_owned).collect()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.guest.kill();
        let _ = self.guest.wait();
    }
}

fn screen(stderr: &ChildStderr) -> StandardError {
    use std::os::{fd::AsFd, linux::fs::MetadataExt};
    let file = File::from(stderr.as_fd().try_clone_to_owned().unwrap());
    let metadata = file.metadata().unwrap();
    StandardError { device: metadata.st_dev(), inode: metadata.st_ino(), special: metadata.st_rdev() }
}

#[test]
fn an_agent_elsewhere_serves_as_one_here_does() {
    let far = Far::new(20);
    let layer = far.layer();
    assert_eq!(far.ready.hostname, mirrord_tests::pod::NAME);
    assert!(!far.ready.environment.0.is_empty());
    let there = std::fs::read(far.pod.path("/etc/hostname")).unwrap();
    let mut here = Vec::new();
    File::from(layer.open("/etc/hostname", libc::O_RDONLY, 0).unwrap()).read_to_end(&mut here).unwrap();
    assert_eq!(here, there);
    let mut words = String::new();
    Far::reach(&layer, 7001).read_to_string(&mut words).unwrap();
    assert!(words.ends_with("I am 10.77.0.2:7001\n"), "{words}");
    drop(layer);
    assert_eq!(far.told(), [""; 0]);
}

#[test]
fn the_bytes_of_a_stream_survive_every_cut_and_nobody_is_told_of_short_ones() {
    const TOTAL: usize = 48 << 20;
    let far = Far::new(20);
    let layer = far.layer();
    let mut stream = Far::reach(&layer, 19);
    stream.write_all(format!("{TOTAL}\n").as_bytes()).unwrap();
    let expected = pattern(1 << 20).repeat(TOTAL >> 20);
    let mut bytes = Vec::with_capacity(TOTAL);
    let mut piece = vec![0; 300_001];
    let mut next_cut = 5 << 20;
    while bytes.len() < TOTAL {
        if bytes.len() > next_cut {
            next_cut += 9 << 20;
            far.line.cut();
        }
        let n_read = stream.read(&mut piece).unwrap();
        assert_ne!(n_read, 0, "after {}", bytes.len());
        bytes.extend_from_slice(&piece[..n_read]);
    }
    assert!(bytes == expected);
    drop((stream, layer));
    assert_eq!(far.told(), [""; 0]);
}

#[test]
fn a_call_waits_until_the_connection_is_back_and_both_are_told_once() {
    let far = Far::new(30);
    let layer = far.layer();
    far.line.close();
    let (answer_tx, answer_rx) = mpsc::channel();
    let asking = thread::spawn(move || {
        answer_tx.send(layer.stat("/etc/hostname")).unwrap();
    });
    // Longer than a cut of which nobody hears.
    assert!(answer_rx.recv_timeout(Duration::from_secs(4)).is_err());
    far.line.lead(far.envoy.address);
    answer_rx.recv_timeout(SOON).unwrap().unwrap();
    asking.join().unwrap();
    let told = far.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("was cut") && told[1].contains("is back"), "{told:?}");
}

#[test]
fn calls_to_an_agent_that_is_lost_fail_and_go_on_when_another_is_there() {
    let mut far = Far::new(1);
    let layer = far.layer();
    let big = File::from(layer.open("/data/big", libc::O_RDONLY, 0).unwrap());
    let mut before = vec![0; 4096];
    big.read_exact_at(&mut before, 0).unwrap();
    let mut stream = Far::reach(&layer, 7);
    far.line.close();
    far.envoy.kill();
    // What was open ends as a network ends it.
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).is_err() || rest.is_empty());
    let fault = eventually("a lost agent", SOON, || layer.stat("/etc/hostname").err());
    assert_eq!(fault.errno, libc::EIO);
    let another = Envoy::start(far.pod.pid());
    far.line.lead(another.address);
    eventually("another agent", SOON, || layer.stat("/etc/hostname").ok());
    // A file that was open before is opened anew.
    let mut after = vec![0; 4096];
    eventually("the file", SOON, || big.read_exact_at(&mut after, MIDDLE).ok());
    let there = File::open(far.pod.path("/data/big")).unwrap();
    let mut expected = vec![0; 4096];
    there.read_exact_at(&mut expected, MIDDLE).unwrap();
    assert!(after == expected);
    drop((layer, big));
    let told = far.told();
    let count = |words: &str| told.iter().filter(|line| line.contains(words)).count();
    assert_eq!((count("is gone"), count("is lost"), count("goes on")), (1, 1, 1), "{told:?}");
}

#[test]
fn a_listener_is_subscribed_again_at_the_next_agent() {
    let mut far = Far::new(5);
    let layer = far.layer();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = listener.local_addr().unwrap();
    let requested = ([0, 0, 0, 0], 8080).into();
    let listen = SocketQuestion::Listen { inode: inode(&listener), requested, bound };
    assert_eq!(layer.socket(listen).unwrap().0, SocketAnswer::Listening { subscribed: true });
    far.line.close();
    far.envoy.kill();
    let another = Envoy::start(far.pod.pid());
    far.line.lead(another.address);
    // A customer who comes too early is the shop's own: the next one is asked for after a moment.
    setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::seconds(1)).unwrap();
    eventually("a stolen connection", SOON, || {
        let mut client = far.pod.command("bash");
        let mut client = client.args(["-c", "exec 3<>/dev/tcp/10.77.0.2/8080; cat <&3 >&0"]);
        client = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = client.spawn().unwrap();
        let arrived = listener.accept().ok();
        client.kill().unwrap();
        client.wait().unwrap();
        arrived
    });
}

#[test]
fn an_agent_that_never_answers_is_told_with_its_address() {
    let mut guest = crate::stage::guest();
    // A port that is taken, so that no other story gets it, and at which nobody listens.
    let taken = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(taken.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let nobody: SocketAddr = SocketAddrV4::from(getsockname::<SockaddrIn>(taken.as_raw_fd()).unwrap()).into();
    let place = Place::Address(AddressPlace {
        address: nobody,
        communication_timeout: 1,
        startup_timeout: 1,
        ping_interval: 1,
    });
    let order = order(place, DataPath::Proxied, i32::try_from(guest.id()).ok());
    let report = run(&order);
    guest.kill().unwrap();
    guest.wait().unwrap();
    let Report::Failed(failure) = report else { panic!("{report:?}") };
    assert!(failure.what.contains(&nobody.to_string()), "{failure:?}");
    assert!(failure.causes.iter().any(|cause| cause.contains("refused")), "{failure:?}");
}
