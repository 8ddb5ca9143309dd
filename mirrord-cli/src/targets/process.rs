//! Processes: whether one lives, and whether we may step beside it.

use std::{fs, io, path::Path};

use super::TargetError;

/// `CAP_SYS_ADMIN` of `linux/capability.h`.
const SYS_ADMIN: u64 = 1 << 21;

/// Sees that a process lives, is a process, and is ours to look into.
pub(super) fn check(pid: i32) -> Result<(), TargetError> {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return Err(TargetError::NoProcess(pid));
    };
    if matches!(field(&status, "State").chars().next(), Some('Z' | 'X')) {
        return Err(TargetError::Ended(pid));
    }
    match field(&status, "Tgid").parse() {
        Ok(process) if process != pid => return Err(TargetError::Thread { thread: pid, process }),
        _ => {}
    }
    // What has no memory of its own is no program.
    if field(&status, "VmSize").is_empty() {
        return Err(TargetError::Kernel(pid));
    }
    let theirs = namespaces(&pid.to_string()).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => TargetError::NoProcess(pid),
        _ => TargetError::NotOurs { pid, user: user(&status), why },
    })?;
    let ours = namespaces("self").unwrap_or_else(|_| theirs.clone());
    // Into another user namespace its owner may always step; whether we are that is the kernel's to say.
    if theirs.network != ours.network && theirs.user == ours.user && !may_administer() {
        return Err(TargetError::MayNotEnter(format!("pid/{pid}")));
    }
    Ok(())
}

/// The namespaces that matter, by what the kernel calls them.
#[derive(Clone)]
struct Namespaces {
    user: std::path::PathBuf,
    network: std::path::PathBuf,
}

fn namespaces(process: &str) -> io::Result<Namespaces> {
    let folder = Path::new("/proc").join(process).join("ns");
    Ok(Namespaces { user: fs::read_link(folder.join("user"))?, network: fs::read_link(folder.join("net"))? })
}

/// Whether we may enter a namespace of our own user namespace.
pub(super) fn may_administer() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    u64::from_str_radix(field(&status, "CapEff"), 16).is_ok_and(|held| held & SYS_ADMIN != 0)
}

/// The name, or the number, of the user of a process.
fn user(status: &str) -> String {
    let uid = field(status, "Uid").split_whitespace().next().unwrap_or_default();
    let known =
        uid.parse().ok().and_then(|uid| nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()?);
    known.map_or_else(|| uid.to_owned(), |user| user.name)
}

/// The value of a line of `/proc/PID/status`; empty if there is none.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_living_process_of_ours_is_a_target() {
        check(i32::try_from(std::process::id()).unwrap()).unwrap();
    }

    #[test]
    fn what_has_ended_is_not_whether_it_is_still_listed_or_not() {
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Its end is awaited, but not yet asked for.
        let ended = nix::sys::wait::waitid(
            nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(pid)),
            nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT,
        );
        ended.unwrap();
        assert!(matches!(check(pid), Err(TargetError::Ended(_))));
        child.wait().unwrap();
        assert!(matches!(check(pid), Err(TargetError::NoProcess(_))));
    }

    #[test]
    fn a_thread_is_told_with_its_process() {
        let (tid_tx, tid_rx) = std::sync::mpsc::channel();
        let (end_tx, end_rx) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tid_tx.send(nix::unistd::gettid().as_raw()).unwrap();
            let _ = end_rx.recv();
        });
        let error = check(tid_rx.recv().unwrap()).unwrap_err();
        assert!(
            matches!(error, TargetError::Thread { process, .. } if process.cast_unsigned() == std::process::id())
        );
        drop(end_tx);
        thread.join().unwrap();
    }
}
