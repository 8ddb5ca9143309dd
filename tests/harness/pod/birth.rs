//! How a pretend pod comes into being: namespaces, files, addresses, services.
//!
//! ```text
//! owner ──pipe──▶ keeper (this machine) ──clone──▶ main process (pid 1 of the pod)
//!                 writes the user map               mounts, pivots, becomes /app/shop, serves
//!                 waits for the end                 leaves when the pipe ends
//! ```
//!
//! The keeper has one thread when it clones, so that the copy may do anything.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{self, Pid},
};

use super::{network, root};

/// Runs a pod until its owner is gone: the subcommand `run`.
pub fn run() -> io::Result<()> {
    prctl::set_name(c"pretend-pod")?;
    let (mapped, map_done) = unistd::pipe()?;
    let is_root = unistd::geteuid().is_root();
    let ids = (unistd::geteuid(), unistd::getegid());
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::SIGCHLD;
    // SAFETY: no memory is shared and no stack is given, so this is fork(2); the process has one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(map_done);
            let Err(error) = be_born(mapped) else { return Ok(()) };
            Err(error)
        }
        pid => {
            drop(mapped);
            let pid = i32::try_from(pid).map_err(io::Error::other)?;
            write_maps(pid, is_root, ids)?;
            drop(map_done);
            await_end(Pid::from_raw(pid))
        }
    }
}

/// Root keeps every number; anyone else becomes root of the pod, and is alone there.
fn write_maps(pid: i32, is_root: bool, (uid, gid): (unistd::Uid, unistd::Gid)) -> io::Result<()> {
    if is_root {
        let all = fs::read_to_string("/proc/self/uid_map")?;
        let count = all.split_whitespace().nth(2).unwrap_or("1").to_owned();
        fs::write(format!("/proc/{pid}/uid_map"), format!("0 0 {count}"))?;
        return fs::write(format!("/proc/{pid}/gid_map"), format!("0 0 {count}"));
    }
    fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    fs::write(format!("/proc/{pid}/uid_map"), format!("0 {uid} 1"))?;
    fs::write(format!("/proc/{pid}/gid_map"), format!("0 {gid} 1"))
}

fn await_end(pid: Pid) -> io::Result<()> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGKILL, _)) => return Ok(()),
            Ok(status) => return Err(io::Error::other(format!("the pod's main process ended: {status:?}"))),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// In the new namespaces: wait for the map, build the world, become the application.
fn be_born(mapped: OwnedFd) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    File::from(mapped).read_to_end(&mut Vec::new())?;
    // The number by which this machine knows us, before the old /proc is gone.
    let outside = fs::read_link("/proc/self")?;
    unistd::setgid(unistd::Gid::from_raw(0))?;
    unistd::setuid(unistd::Uid::from_raw(0))?;
    unistd::sethostname(super::NAME)?;
    network::raise()?;
    root::build()?;
    become_main(&outside.to_string_lossy())
}

/// The environment of the main process: what `feature.env` brings to a guest.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
    ("HOME", "/root"),
    ("HOSTNAME", super::NAME),
    ("SHOP_NAME", "Corner Shop"),
    ("SHOP_EMPTY", ""),
    ("SHOP_ODD", "a=b;c \"quoted\" \u{e9}"),
    ("SHOP_LINES", "first\nsecond"),
    ("REDIS_URL", "redis://redis.shop:6379/0"),
    ("DATABASE_URL", "postgres://app:secret@db.shop:5432/shop"),
    ("API_URL", "http://web.shop/"),
];

fn become_main(outside: &str) -> io::Result<()> {
    let environment: Vec<CString> = ENVIRONMENT
        .iter()
        .map(|(name, value)| CString::new(format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    let arguments = [CString::new("/app/shop")?, c"main".to_owned(), CString::new(outside)?];
    unistd::execve(c"/app/shop", &arguments, &environment)?;
    Ok(())
}

/// The main process itself: the subcommand `main`. It serves until its owner is gone.
pub fn main_process(outside: &str) -> io::Result<()> {
    super::services::start()?;
    let mut out = io::stdout();
    writeln!(out, "ready {outside}")?;
    out.flush()?;
    // Whoever reads our words has heard the only one; later writers must not be killed by a closed pipe.
    let null = File::options().write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open; standard output belongs to this program.
    unsafe { libc::dup2(null.as_raw_fd(), 1) };
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        // SAFETY: as process 1 this ends the pod; there is nothing to tidy.
        unsafe { libc::_exit(0) };
    });
    loop {
        // As process 1 it buries orphans; without any it sleeps until the next.
        if waitpid(None, None).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}
