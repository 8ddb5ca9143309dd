//! A user and network namespace for one story: the test runs itself again inside.

use std::{
    ffi::CString,
    future::Future,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use nix::sched::CloneFlags;

/// Names the role of a test that runs inside.
const ROLE: &str = "MIRRORD_TEST_ROLE";

/// The role of the story itself.
const STORY: &str = "story";

/// Tells a story in namespaces of its own; skips it, and says so, where the kernel makes none.
///
/// `test` is the path of the test that calls it, which is how it finds itself again.
pub(super) fn in_namespace<F: Future<Output = ()>>(test: &str, story: impl FnOnce() -> F) {
    if std::env::var(ROLE).is_ok_and(|role| role == STORY) {
        bring_loopback_up();
        return run(story());
    }
    let mut command = again(test, STORY);
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ]
    .map(|(file, text)| (CString::new(format!("/proc/self/{file}")).unwrap(), text));
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(move || enter(&maps)) };
    let status = match command.spawn() {
        Ok(mut child) => child.wait().unwrap(),
        Err(error) => {
            report(&format!("skipped `{test}`: no user and network namespace here: {error}"));
            return;
        }
    };
    assert!(status.success(), "the story inside failed");
}

/// Whether this process is the one that plays a role in somebody's story.
pub(super) fn plays(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|mine| mine == role)
}

/// Another process in the story's namespaces that runs the same test in another role.
pub(super) fn another(test: &str, role: &str) -> Child {
    again(test, role).stdout(Stdio::piped()).spawn().unwrap()
}

/// Runs to the end.
pub(super) fn run<F: Future<Output = ()>>(future: F) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

/// Says something to whoever runs the tests, past the capture of their output.
pub(super) fn report(words: &str) {
    let terminal = std::fs::OpenOptions::new().append(true).open("/dev/stderr");
    // Where it cannot be opened, there is nobody to tell.
    let _ = terminal.and_then(|mut terminal| writeln!(terminal, "{words}"));
}

/// Runs `ip`; false, and says so, where there is none.
pub(super) fn ip(arguments: &str) -> bool {
    match Command::new("ip").args(arguments.split_whitespace()).status() {
        Ok(status) => status.success(),
        Err(error) => {
            report(&format!("skipped: no `ip` here: {error}"));
            false
        }
    }
}

fn again(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

fn enter(maps: &[(CString, String); 3]) -> std::io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    for (path, text) in maps {
        let fd =
            nix::fcntl::open(path.as_c_str(), nix::fcntl::OFlag::O_WRONLY, nix::sys::stat::Mode::empty())?;
        nix::unistd::write(&fd, text.as_bytes())?;
    }
    Ok(())
}

/// Sets the flag by `netdevice(7)`, so that no program is needed.
pub(super) fn bring_loopback_up() {
    use std::os::fd::AsRawFd;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: zeroes are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).unwrap();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap();
    // SAFETY: the request is whole, and the kernel only reads it.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    assert_eq!(outcome, 0, "loopback: {}", std::io::Error::last_os_error());
}

/// Another machine: a network namespace at the other end of a cable, and a thread that lives there.
pub(super) struct Neighbour {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Neighbour {
    /// The target's addresses on the cable.
    pub(super) const TARGET_V4: &str = "10.77.0.1";
    pub(super) const TARGET_V6: &str = "fd77::1";

    /// Lays the cable; none, with a word, where that cannot be done.
    pub(super) fn connect() -> Option<Self> {
        let (jobs, jobs_rx) = mpsc::channel::<Job>();
        let (thread_tx, thread_rx) = mpsc::channel();
        std::thread::spawn(move || {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
            thread_tx.send(nix::unistd::gettid()).unwrap();
            for job in jobs_rx {
                job();
            }
        });
        let neighbour = Self { jobs };
        let there = thread_rx.recv().unwrap();
        let laid = ip(&format!("link add cable0 type veth peer name cable1 netns {there}"))
            && ip("addr add 10.77.0.1/24 dev cable0")
            && ip("addr add fd77::1/64 dev cable0 nodad")
            && ip("link set cable0 up")
            && neighbour.run(|| {
                ip("addr add 10.77.0.2/24 dev cable1")
                    && ip("addr add fd77::2/64 dev cable1 nodad")
                    && ip("link set cable1 up")
            });
        laid.then_some(neighbour)
    }

    /// Whether an address is the neighbour's.
    pub(super) fn is(ip: std::net::IpAddr) -> bool {
        ["10.77.0.2", "fd77::2"].iter().any(|own| own.parse() == Ok(ip))
    }

    /// Connects from there, says something, closes, and gives the answer.
    pub(super) fn ask(&self, to: SocketAddr, words: &'static str) -> std::thread::JoinHandle<String> {
        let (stream_tx, stream_rx) = mpsc::channel();
        self.jobs.send(Box::new(move || stream_tx.send(TcpStream::connect(to).unwrap()).unwrap())).unwrap();
        std::thread::spawn(move || {
            let mut stream = stream_rx.recv().unwrap();
            stream.write_all(words.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (outcome_tx, outcome) = mpsc::channel();
        self.jobs.send(Box::new(move || outcome_tx.send(job()).unwrap_or_default())).unwrap();
        outcome.recv().unwrap()
    }
}
