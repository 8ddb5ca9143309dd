//! How the supervisor begins, from both ends: the command that becomes the guest, and the process beside it.
//!
//! The command starts `mirrord supervise` with one end of a socket pair as its standard input, and tells it where the proxy
//! listens. The supervisor detaches, as the proxy does, and says that it can serve. Then the command sets the filter
//! and becomes the guest; a thread that is older than the filter hands the listener over, because the guest's own calls
//! wait from there on.

use std::{
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsFd, FromRawFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, ExitCode, Stdio},
};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    frame::{FrameReader, encode_frame},
    proxy::names::SESSION_ID,
    wire,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{
    filter::{self, Wanted},
    front,
    serve::{Supervisor, Surroundings},
    support::{Stand, support},
};
use crate::{
    in_place,
    proxy::{
        detach::{self, Part},
        rights,
    },
    report::Explain,
};

/// What a supervisor is told.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    /// Where the proxy listens.
    address: String,
    /// The guest's `HOME`.
    home: Option<Vec<u8>>,
    /// The guest's `TMPDIR`.
    temp_dir: Option<Vec<u8>>,
}

/// What a supervisor answers: twice.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    /// It can serve; so much is to be caught.
    Ready(Wanted),
    /// It has the listener.
    Serving,
    /// It cannot.
    Failed(String),
}

/// Why the guest cannot be supervised.
#[derive(Debug, Error)]
pub(crate) enum SuperviseError {
    #[error("cannot start the supervisor")]
    Start(#[source] io::Error),
    #[error("the supervisor cannot begin: {0}")]
    Begin(String),
    #[error("cannot catch the program's calls (`seccomp`)")]
    Filter(#[source] io::Error),
    #[error("this kernel cannot have a program supervised: {0}")]
    Unsupported(String),
}

impl Explain for SuperviseError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Filter(why) if why.raw_os_error() == Some(libc::EBUSY) => {
                "the program that started this one is supervised already, by somebody else".to_owned()
            }
            Self::Filter(_) | Self::Unsupported(_) => {
                "link the program dynamically with glibc, and use `--engine layer`".to_owned()
            }
            Self::Start(_) | Self::Begin(_) => {
                "look into the proxy's log (`internal_proxy.log_destination`)".to_owned()
            }
        })
    }
}

/// What came of the start.
#[derive(Debug)]
pub(crate) enum Started {
    /// This process is to become the guest.
    Guest(Supervision),
    /// Another one was the guest, and has ended so.
    Front(ExitCode),
}

/// A supervisor that waits for its guest.
#[derive(Debug)]
pub(crate) struct Supervision {
    socket: UnixStream,
    wanted: Wanted,
}

/// What a supervisor must know of the session.
#[derive(Debug)]
pub(crate) struct Supervised<'a> {
    /// Where the proxy listens.
    pub(crate) address: &'a str,
    /// The session's id, for people who look at processes.
    pub(crate) session_id: &'a std::ffi::OsStr,
    /// The guest's `HOME`.
    pub(crate) home: Option<&'a [u8]>,
    /// The guest's `TMPDIR`.
    pub(crate) temp_dir: Option<&'a [u8]>,
}

/// Starts a supervisor; comes back when it can serve, or when the guest has ended.
pub(crate) fn start(session: &Supervised<'_>) -> Result<Started, SuperviseError> {
    let stand = support()?;
    let folder = |path: Option<&[u8]>| {
        let path = path?;
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        (end > 0).then(|| path[..end].to_vec())
    };
    let task = Task {
        address: session.address.to_owned(),
        home: folder(session.home),
        temp_dir: folder(session.temp_dir),
    };
    let mut socket = match stand {
        Stand::Beside => beside(session),
        Stand::Above => match front::part(|socket| command(session, socket).arg("--stay").exec()) {
            Ok(front::Part::Guest(socket)) => Ok(socket),
            Ok(front::Part::Front(code)) => return Ok(Started::Front(code)),
            Err(why) => Err(why),
        },
    }
    .map_err(SuperviseError::Start)?;
    match tell(&mut socket, &task).and_then(|()| hear(&mut socket)).map_err(SuperviseError::Start)? {
        Said::Ready(wanted) => Ok(Started::Guest(Supervision { socket, wanted })),
        Said::Failed(why) => Err(SuperviseError::Begin(why)),
        Said::Serving => Err(SuperviseError::Begin("it said something out of turn".to_owned())),
    }
}

/// Starts one that parts from us.
fn beside(session: &Supervised<'_>) -> io::Result<UnixStream> {
    let (socket, theirs) = UnixStream::pair()?;
    // It has parted from us by the end of this, or failed: the guest must not find a child that it never started.
    command(session, theirs.into()).spawn()?.wait()?;
    Ok(socket)
}

/// What is run to be a supervisor.
fn command(session: &Supervised<'_>, socket: OwnedFd) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("mirrord")
        .arg("supervise")
        .env_remove("LD_PRELOAD")
        .env_remove(in_place::PROGRAM)
        .env(SESSION_ID, session.session_id)
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn tell(socket: &mut UnixStream, words: &impl Serialize) -> io::Result<()> {
    socket.write_all(&encode_frame(words).map_err(io::Error::other)?)
}

fn hear<T: DeserializeOwned>(socket: &mut UnixStream) -> io::Result<T> {
    let mut reader = FrameReader::default();
    let mut piece = [0; 4096];
    loop {
        if let Some(frame) = reader.next_frame().map_err(io::Error::other)? {
            return wire::decode(&frame).map_err(io::Error::other);
        }
        match socket.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n_read => reader.feed(&piece[..n_read]),
        }
    }
}

impl Supervision {
    /// Sets the filter for this thread and all that it becomes and starts. What follows it is a guest's calls: only an
    /// `execve(2)` should.
    pub(crate) fn begin(self) -> Result<(), SuperviseError> {
        let Self { mut socket, wanted } = self;
        let (give, take) = std::sync::mpsc::sync_channel::<OwnedFd>(1);
        let hand_over = std::thread::Builder::new().spawn(move || {
            let Ok(listener) = take.recv() else { return Ok(()) };
            let sent = rights::send(&socket, &[IoSlice::new(b"f")], Some(listener.as_fd()));
            drop(listener);
            sent.and_then(|_| hear::<Said>(&mut socket)).map(drop)
        });
        let hand_over = hand_over.map_err(SuperviseError::Start)?;
        let listener = set_filter(wanted).map_err(SuperviseError::Filter)?;
        // The other end lives until it has been sent something.
        let _ = give.send(listener);
        match hand_over.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(SuperviseError::Start(why)),
            Err(_) => Err(SuperviseError::Begin("it did not take the listener".to_owned())),
        }
    }
}

/// Sets the filter, and gives the listener that hears of what it catches.
fn set_filter(wanted: Wanted) -> io::Result<OwnedFd> {
    let program = filter::program(wanted);
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // With it a signal cannot make a call begin anew whose answer is on its way (Linux 5.19).
    let patient = flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let mut outcome = install(&program, patient);
    if matches!(&outcome, Err(why) if why.raw_os_error() == Some(libc::EACCES)) {
        // Without privileges, the program must not gain any by what it runs.
        // SAFETY: a flag of this process is set.
        let confined = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        if confined != 0 {
            return Err(io::Error::last_os_error());
        }
        outcome = install(&program, patient);
    }
    match outcome {
        Err(why) if why.raw_os_error() == Some(libc::EINVAL) => install(&program, flags),
        outcome => outcome,
    }
}

fn install(program: &libc::sock_fprog, flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program is ours, and the kernel copies it.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, std::ptr::from_ref(program)) };
    match i32::try_from(listener) {
        // SAFETY: the descriptor is fresh, and nobody else's.
        Ok(number @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `mirrord supervise`: the process beside the guest, or above it. It ends when the last guest does.
pub(crate) fn run(stand: Stand) -> ExitCode {
    let parted = match stand {
        Stand::Beside => detach::detach(),
        Stand::Above => detach::stay().map(Part::Proxy),
    };
    let mut socket = match parted {
        Ok(Part::Starter) => return ExitCode::SUCCESS,
        Ok(Part::Proxy(socket)) => socket,
        // The command reads its end of the socket and sees ours closed.
        Err(_) => return ExitCode::FAILURE,
    };
    match prepare(&mut socket) {
        Ok((supervisor, listener)) => {
            drop(socket);
            supervisor.serve(listener);
            ExitCode::SUCCESS
        }
        Err(why) => {
            drop(tell(&mut socket, &Said::Failed(why.to_string())));
            ExitCode::FAILURE
        }
    }
}

fn prepare(socket: &mut UnixStream) -> io::Result<(Supervisor, OwnedFd)> {
    let task: Task = hear(socket)?;
    let around = Surroundings { home: task.home, temp_dir: task.temp_dir };
    let mut supervisor = Supervisor::new(&task.address, around)?;
    // What it makes for a guest has the mode that the guest wants.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let has_target = supervisor.facts.has_target;
    let proxied = supervisor.facts.data_path == DataPath::Proxied && has_target;
    let wanted = Wanted {
        reaches: has_target,
        arrives: supervisor.rules.incoming.wish.is_some(),
        proxied,
        relays: proxied || (has_target && supervisor.rules.dns.has_filter()),
        hostname: supervisor.rules.hostname && has_target,
        refuses_rings: !supervisor.facts.allows_rings,
        keeps_sockets: supervisor.sockets.kept.is_some(),
    };
    tell(socket, &Said::Ready(wanted))?;
    let mut descriptors = std::collections::VecDeque::new();
    // The command may still do a lot before it becomes the guest.
    rustix::event::poll(&mut [rustix::event::PollFd::new(socket, rustix::event::PollFlags::IN)], None)?;
    let mut byte = [0];
    let n_read = rights::receive(&*socket, &mut byte, &mut descriptors)?;
    let listener = descriptors.pop_front().filter(|_| n_read == 1).ok_or(io::ErrorKind::UnexpectedEof)?;
    supervisor.is_confined = !nix::unistd::geteuid().is_root();
    tell(socket, &Said::Serving)?;
    Ok((supervisor, listener))
}
