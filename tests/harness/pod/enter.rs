//! A command inside a pod: the bare run that every parity test compares with.

use std::{
    ffi::OsString,
    fs, io,
    os::{
        fd::{AsFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStringExt, process::CommandExt, process::ExitStatusExt},
    },
    process::Command,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::{prctl, signal::Signal},
};

/// Runs a program in every namespace of a process, with that process's environment: the subcommand `enter`.
///
/// Its exit code, or 128 and its signal, is ours to end with.
pub fn enter(pid: i32, folder: &OsString, program: &OsString, arguments: &[OsString]) -> io::Result<i32> {
    let environment = environment_of(pid)?;
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    if fs::read_link(format!("/proc/{pid}/ns/user"))? != fs::read_link("/proc/self/ns/user")? {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    setns(open_process(pid)?.as_fd(), flags)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).current_dir(folder);
    // The child is the first of ours in the pod's process namespace; it must not outlive us.
    // SAFETY: between fork and exec only one system call is made, on no memory.
    unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
    let status = command.status()?;
    Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1))
}

/// A process's environment, as it was at its start.
pub fn environment_of(pid: i32) -> io::Result<Vec<(OsString, OsString)>> {
    let bytes = fs::read(format!("/proc/{pid}/environ"))?;
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|&byte| byte == b'=')?;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(&entry[..at]), text(&entry[at + 1..])))
    };
    Ok(bytes.split(|&byte| byte == 0).filter_map(pair).collect())
}

fn open_process(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
