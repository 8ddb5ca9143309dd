//! `syscall(2)`: calls by their number take the way of their functions; the others are the kernel's.

/// A call of ours with the guest's own arguments.
macro_rules! call {
    ($function:path, $($argument:expr),*) => {
        // SAFETY: the arguments are the guest's, under the contract of the function that it calls by number.
        Some(unsafe { $function($($argument),*) }.to_long())
    };
}

mod file;
#[cfg(target_arch = "x86_64")]
mod old;
#[cfg(not(target_arch = "x86_64"))]
#[path = "none.rs"]
mod old;
mod socket;

use std::ffi::{c_int, c_long};

use libc::mode_t;
use mirrord_core::verdict::Errno;

use crate::{answer, engine::table::numbered::original, process::Process};

/// The six arguments of a system call.
type Arguments = [c_long; 6];

#[expect(clippy::many_single_char_names, reason = "they are six arguments")]
#[expect(clippy::too_many_arguments, reason = "a system call has a number and six arguments")]
pub(crate) unsafe fn syscall(
    _: &Process,
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // A ring would do in the kernel what no function here is asked for.
    if number == libc::SYS_io_uring_setup {
        answer::set_errno(Errno(libc::ENOSYS));
        return -1;
    }
    let arguments = [a, b, c, d, e, f];
    // SAFETY: the guest's own arguments.
    let answer = unsafe { file::call(number, arguments) }
        // SAFETY: as above.
        .or_else(|| unsafe { old::call(number, arguments) })
        // SAFETY: as above.
        .or_else(|| unsafe { socket::call(number, arguments) });
    match answer {
        Some(answer) => answer,
        // SAFETY: as above.
        None => unsafe { original::syscall()(number, a, b, c, d, e, f) },
    }
}

/// An argument that the kernel takes as a 32-bit number: its low half.
#[expect(clippy::cast_possible_truncation, reason = "the kernel, too, looks at the low half only")]
fn int(argument: c_long) -> c_int {
    argument as c_int
}

fn unsigned(argument: c_long) -> u32 {
    int(argument).cast_unsigned()
}

fn mode(argument: c_long) -> mode_t {
    unsigned(argument)
}

fn size(argument: c_long) -> usize {
    usize::try_from(argument.cast_unsigned()).unwrap_or(usize::MAX)
}

fn pointer<T>(argument: c_long) -> *mut T {
    std::ptr::with_exposed_provenance_mut(size(argument))
}

/// What a function answers, as `syscall(2)` does.
trait ToLong {
    fn to_long(self) -> c_long;
}

impl ToLong for c_int {
    fn to_long(self) -> c_long {
        self.into()
    }
}

impl ToLong for isize {
    fn to_long(self) -> c_long {
        c_long::try_from(self).unwrap_or(-1)
    }
}

impl ToLong for c_long {
    fn to_long(self) -> c_long {
        self
    }
}
