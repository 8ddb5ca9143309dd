//! What this process was started with, before Rust's runtime changes it, and how the guest gets it back.
//!
//! The runtime ignores SIGPIPE, and opens `/dev/null` for each standard descriptor that is closed. A guest must find
//! both as whoever started the command left them.

use std::sync::atomic::{AtomicU8, Ordering};

/// The bit of a note for an ignored SIGPIPE; those below it stand for closed standard descriptors.
const PIPE_IGNORED: u8 = 1 << 3;

static NOTE: AtomicU8 = AtomicU8::new(0);

/// Runs before `main`, and before the runtime.
#[used]
// SAFETY: the loader calls every pointer of this section once, with arguments that an `extern "C"` function may ignore.
#[unsafe(link_section = ".init_array")]
static TAKE_NOTE: extern "C" fn() = take_note;

extern "C" fn take_note() {
    let mut note = 0;
    for fd in 0..3 {
        // SAFETY: asks for a descriptor's flags; any number may be asked.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags == -1 {
            note |= 1 << fd;
        }
    }
    // SAFETY: a `sigaction` of zeroes is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: changes nothing, and writes to a structure of ours.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action) };
    if asked == 0 && action.sa_sigaction == libc::SIG_IGN {
        note |= PIPE_IGNORED;
    }
    NOTE.store(note, Ordering::Relaxed);
}

/// Gives everything back, as the last deed before the guest.
pub(crate) fn give_back() {
    let note = NOTE.load(Ordering::Relaxed);
    if note & PIPE_IGNORED == 0 {
        // SAFETY: the default action is no handler of ours.
        let _ = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    for fd in 0..3 {
        if note & 1 << fd != 0 {
            // SAFETY: the runtime opened it in the place of a closed one, and nothing of ours uses it from here on.
            let _ = unsafe { libc::close(fd) };
        }
    }
}

/// Ignores SIGPIPE again, when there was no guest after all.
pub(crate) fn take_again() {
    // SAFETY: ignoring is no handler of ours.
    let _ = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
