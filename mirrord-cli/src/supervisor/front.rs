//! The processes around a guest whose supervisor must be its ancestor.
//!
//! Where the kernel lets a program be looked into by its ancestors alone (`kernel.yama.ptrace_scope` 1, as on Ubuntu), the
//! command cannot become the guest itself:
//!
//! ```text
//! command ─ front: ends, stops and goes on as the guest does, and passes on the signals that it gets
//!    └─ supervisor: `mirrord supervise`
//!          └─ warden: the guest's parent, and that of all orphans
//!                └─ guest
//! ```
//!
//! All four are forks of one process with one thread. Guests keep the terminal, the session and the process group of the
//! command; front and warden hold nothing that a guest's reader could wait for.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
};

use nix::{
    errno::Errno,
    sys::{
        prctl::set_child_subreaper,
        resource::{Resource, setrlimit},
        signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, raise, signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus},
    },
    unistd::{ForkResult, Pid, fork, setsid},
};
use rustix::event::{PollFd, PollFlags, poll};

/// Which of the processes this one is.
pub(super) enum Part {
    /// The one that becomes the guest, with a socket to the supervisor.
    Guest(UnixStream),
    /// The one that whoever started the command waits for; the guest has ended so.
    Front(ExitCode),
}

/// What the front is told: the guest's number, then whatever becomes of it, as `waitpid(2)` tells it.
const WORD: usize = size_of::<i32>();

/// Parts. `become_supervisor` is called in the process that is to be it, with its socket to the guest; it comes back
/// only if that fails. Must be called while there is one thread.
pub(super) fn part(become_supervisor: impl FnOnce(OwnedFd) -> io::Error) -> io::Result<Part> {
    let (of_guest, of_supervisor) = UnixStream::pair()?;
    let (of_front, of_warden) = UnixStream::pair()?;
    // Whoever is told to end meanwhile does so when it is the front.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
    if fork_once()?.is_some() {
        drop((of_guest, of_supervisor, of_warden));
        return stand_in_front(of_front).map(Part::Front);
    }
    drop(of_front);
    if fork_once()?.is_some() {
        drop((of_guest, of_warden));
        let outcome = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).and_then(|()| setsid());
        if outcome.is_ok() {
            let _ = become_supervisor(of_supervisor.into());
        }
        // The guest sees the socket closed, and says so.
        // SAFETY: ends this process, which has nothing to tidy.
        unsafe { libc::_exit(1) }
    }
    drop(of_supervisor);
    set_child_subreaper(true)?;
    if let Some(guest) = fork_once()? {
        drop(of_guest);
        watch(guest, of_warden);
        // SAFETY: ends this process, which has nothing to tidy and nobody to tell.
        unsafe { libc::_exit(0) }
    }
    drop(of_warden);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    Ok(Part::Guest(of_guest))
}

/// Forks; tells the parent its child.
fn fork_once() -> io::Result<Option<Pid>> {
    // SAFETY: there is one thread, so the child is as whole as its parent.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// The warden's life: tells the front of its child, buries all others, ends with the last.
fn watch(child: Pid, mut front: UnixStream) {
    // Out of reach of the terminal.
    let _ = setsid();
    let _ = front.write_all(&child.as_raw().to_ne_bytes());
    let Ok(children) = ear(&[Signal::SIGCHLD]) else { return };
    keep_only(&[front.as_raw_fd(), children.as_fd().as_raw_fd()]);
    let (mut guest, mut has_front) = (Some(child), true);
    while bury(&mut guest, &mut front).is_ok() {
        let mut asked = vec![PollFd::new(&children, PollFlags::IN)];
        if has_front {
            asked.push(PollFd::new(&front, PollFlags::empty()));
        }
        let _ = poll(&mut asked, None);
        if asked.get(1).is_some_and(|front| !front.revents().is_empty()) {
            has_front = false;
            // As if the front itself were the guest: whoever ends it by force ends the guest.
            if let Some(guest) = guest {
                let _ = kill(guest, Signal::SIGKILL);
            }
        }
        let _ = children.read_signal();
    }
}

/// Hears of all children that have something to tell. An error says that there are none left.
fn bury(guest: &mut Option<Pid>, front: &mut UnixStream) -> nix::Result<()> {
    loop {
        let mut status = 0;
        let options = (WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED).bits();
        // SAFETY: the place is ours.
        match unsafe { libc::waitpid(-1, &raw mut status, options) } {
            0 => return Ok(()),
            pid @ 1.. if Some(Pid::from_raw(pid)) == *guest => {
                let _ = front.write_all(&status.to_ne_bytes());
                if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                    *guest = None;
                }
            }
            1.. => {}
            _ if Errno::last() == Errno::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
}

/// The front's life: tells how the guest has ended.
fn stand_in_front(mut warden: UnixStream) -> io::Result<ExitCode> {
    let Ok(guest) = hear(&mut warden) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let guest = Pid::from_raw(guest);
    let signals = ear(&Signal::iterator().collect::<Vec<_>>())?;
    // What the proxy has to say it says where our standard error leads.
    keep_only(&[2, warden.as_raw_fd(), signals.as_fd().as_raw_fd()]);
    loop {
        let mut asked = [PollFd::new(&warden, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        let _ = poll(&mut asked, None);
        let is_told = !asked[0].revents().is_empty();
        while let Ok(Some(told)) = signals.read_signal() {
            pass_on(guest, told.ssi_signo, told.ssi_code);
        }
        if is_told {
            match hear(&mut warden).map(|status| WaitStatus::from_raw(guest, status)) {
                Ok(Ok(WaitStatus::Stopped(..))) => raise(Signal::SIGSTOP)?,
                Ok(Ok(WaitStatus::Exited(_, code))) => {
                    return Ok(ExitCode::from(u8::try_from(code & 0xFF).unwrap_or(1)));
                }
                Ok(Ok(WaitStatus::Signaled(_, signal, _))) => return end_by(signal),
                Ok(_) => {}
                Err(_) => return end_by(Signal::SIGKILL),
            }
        }
    }
}

/// Passes a signal on that somebody has sent to us. Those of the terminal and of the kernel came to the whole group.
fn pass_on(guest: Pid, number: u32, code: i32) {
    let signal = i32::try_from(number).ok().and_then(|number| Signal::try_from(number).ok());
    if let Some(signal) = signal.filter(|signal| *signal != Signal::SIGCHLD && code <= libc::SI_USER) {
        let _ = kill(guest, signal);
    }
}

/// Ends as the guest did, but without a second core.
fn end_by(how: Signal) -> io::Result<ExitCode> {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // SAFETY: the default action is no handler of ours.
    let _ = unsafe { signal(how, SigHandler::SigDfl) };
    let mut only = SigSet::empty();
    only.add(how);
    raise(how)?;
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&only), None)?;
    Ok(ExitCode::from(u8::try_from(128 + how as i32).unwrap_or(1)))
}

fn hear(warden: &mut UnixStream) -> io::Result<i32> {
    let mut word = [0; WORD];
    warden.read_exact(&mut word).map(|()| i32::from_ne_bytes(word))
}

/// Where signals that are blocked are told.
fn ear(signals: &[Signal]) -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in signals {
        set.add(*signal);
    }
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Lets go of all descriptors but these: a pipe of the guest's, held by us, would never end. The standard ones lead
/// nowhere.
fn keep_only(kept: &[i32]) {
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty());
    for number in (0..=2).filter(|number| !kept.contains(number)) {
        if let Ok(null) = &null {
            // SAFETY: the standard descriptors belong to nobody in particular.
            let _ = unsafe { libc::dup2(null.as_raw_fd(), number) };
        }
    }
    drop(null);
    let mut kept: Vec<u32> = kept.iter().filter_map(|number| u32::try_from(*number).ok()).collect();
    kept.extend([2, u32::MAX]);
    kept.sort_unstable();
    for pair in kept.windows(2) {
        if let [last, next] = pair
            && *last >= 2
            && last + 1 < *next
        {
            // SAFETY: what is closed is used by nobody any more: this process only waits from here on.
            let _ = unsafe { libc::syscall(libc::SYS_close_range, last + 1, next - 1, 0) };
        }
    }
}
