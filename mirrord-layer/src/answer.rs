//! Verdicts and faults into return values and errno: the only such table.

use libc::c_int;
use mirrord_core::verdict::Errno;
use mirrord_protocol::fault::Fault;

use crate::link::LinkError;

pub(crate) use mirrord_guest::Outcome;

/// Sets errno, and nothing else.
pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: the C library gives every thread a valid place for its errno.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { *place = errno.0 };
}

/// The calling thread's errno.
pub(crate) fn errno() -> Errno {
    // SAFETY: the C library gives every thread a valid place for its errno.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    Errno(unsafe { *place })
}

/// A type of answer that has a value for failure.
pub(crate) trait Answer: Copy {
    /// What says that errno tells more.
    const FAILED: Self;
}

impl Answer for c_int {
    const FAILED: Self = -1;
}

impl Answer for i64 {
    const FAILED: Self = -1;
}

impl Answer for isize {
    const FAILED: Self = -1;
}

impl<T> Answer for *mut T {
    const FAILED: Self = std::ptr::null_mut();
}

/// The answer that the guest sees of any outcome.
pub(crate) fn give<T: Answer>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|errno| {
        set_errno(errno);
        T::FAILED
    })
}

/// The classic answer: a number, or -1 and errno.
pub(crate) fn number<T: From<i8>>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|errno| {
        set_errno(errno);
        T::from(-1)
    })
}

/// The answer of a call that only succeeds or fails.
pub(crate) fn status(outcome: Outcome<()>) -> c_int {
    number(outcome.map(|()| 0))
}

/// The answer of a call that gives a pointer: null and errno if it fails.
pub(crate) fn pointer<T>(outcome: Outcome<*mut T>) -> *mut T {
    outcome.unwrap_or_else(|errno| {
        set_errno(errno);
        std::ptr::null_mut()
    })
}

/// What a guest sees of a fault there.
pub(crate) fn from_fault(fault: &Fault) -> Errno {
    Errno(fault.errno)
}

/// What a guest sees of a file call when the proxy is gone: as if its disk were.
pub(crate) fn lost_file(error: LinkError) -> Errno {
    lost(error, libc::EIO)
}

/// What a guest sees of a socket call when the proxy is gone: as if its network were.
pub(crate) fn lost_socket(error: LinkError) -> Errno {
    lost(error, libc::ENETDOWN)
}

fn lost(error: LinkError, errno: c_int) -> Errno {
    match error {
        LinkError::Lost => Errno(errno),
        LinkError::Full(errno) => Errno(errno.raw_os_error()),
    }
}
