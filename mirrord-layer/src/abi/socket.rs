//! What the kernel knows of a socket.

use std::os::fd::{AsFd, AsRawFd};

/// `SO_NETNS_COOKIE` (Linux 5.14).
const SO_NETNS_COOKIE: libc::c_int = 71;

/// The network namespace in which a socket lives, by the kernel's number for it. Leaves errno alone.
pub(crate) fn netns_cookie(socket: impl AsFd) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or(0);
    let before = crate::answer::errno();
    // SAFETY: the value and its length are ours and as large as the option wants.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    crate::answer::set_errno(before);
    (failed == 0).then_some(cookie)
}
