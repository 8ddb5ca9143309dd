//! Whether this kernel can have a program supervised, and lets us.

use std::io;

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::start::SuperviseError;

/// The oldest kernel that can: notifications, leaving calls to the kernel, and giving descriptors.
const OLDEST: (u32, u32) = (5, 9);

/// Where a supervisor must stand to be let into the memory of its guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Anywhere.
    Beside,
    /// Among their ancestors.
    Above,
}

/// Whether the kernel can have a program supervised, and lets us.
pub(crate) fn support() -> Result<Stand, SuperviseError> {
    let unsupported = |why: String| Err(SuperviseError::Unsupported(why));
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        return unsupported(format!("it is Linux {release}, and 5.9 is needed"));
    }
    let mut action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the action is ours, and only read.
    let available =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw mut action) };
    if available != 0 {
        let why = io::Error::last_os_error();
        return unsupported(format!("`seccomp` is refused ({why}), perhaps by the profile of a container"));
    }
    if let Err(why) = pidfd_open(getpid(), PidfdFlags::empty()) {
        let why = io::Error::from(why);
        return unsupported(format!(
            "`pidfd_open` is refused ({why}), perhaps by the profile of a container"
        ));
    }
    if let Some(why) = forbidden_memory() {
        return unsupported(why);
    }
    match ptrace_scope() {
        0 => Ok(Stand::Beside),
        _ if can_trace() => Ok(Stand::Beside),
        1 => Ok(Stand::Above),
        scope => unsupported(format!(
            "`kernel.yama.ptrace_scope` is {scope}, so that nobody but root may look into a program"
        )),
    }
}

/// Why nobody may look into the memory of others, if so: what the profile of a container forbids it forbids for our
/// own memory, too.
fn forbidden_memory() -> Option<String> {
    let (source, mut place) = ([0_u8; 1], [1_u8; 1]);
    let theirs = libc::iovec { iov_base: source.as_ptr().cast_mut().cast(), iov_len: 1 };
    let ours = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: 1 };
    let pid = std::process::id().cast_signed();
    // SAFETY: both places are ours, and as long as they say.
    let n_read = unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    let why = io::Error::last_os_error();
    let is_readable = n_read == 1 || std::fs::File::open("/proc/self/mem").is_ok();
    (!is_readable)
        .then(|| format!("`process_vm_readv` is refused ({why}), perhaps by the profile of a container"))
}

fn ptrace_scope() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Whether this process may trace any other (`CAP_SYS_PTRACE`).
fn can_trace() -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .is_some_and(|set| set & 1 << CAP_SYS_PTRACE != 0)
}
