//! The working directory. There, it is really there: whoever asks the kernel from then on is answered rightly.

use std::ffi::{c_char, c_int};

use libc::{AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH, size_t};
use mirrord_core::{rules::fs::Deed, verdict::Errno};

use super::{open, place, way};
use crate::{
    abi::text,
    answer::{self, Outcome},
    engine::{table::fs::original, work},
    process::Process,
};

pub(crate) unsafe fn chdir(process: &Process, path: *const c_char) -> c_int {
    // SAFETY: the guest's own arguments.
    let here = |path| unsafe { original::chdir()(path) };
    let there = |path| {
        let dir = open::there(path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)?;
        rustix::process::fchdir(dir).map(|()| 0).map_err(|error| Errno(error.raw_os_error()))
    };
    // SAFETY: as above.
    unsafe { way::follow(process, AT_FDCWD, path, Deed::Read, here, there) }
}

pub(crate) unsafe fn getcwd(process: &Process, out: *mut c_char, size: size_t) -> *mut c_char {
    // SAFETY: the guest's own arguments.
    unsafe { told(process, out, size) }.unwrap_or_else(|| {
        // SAFETY: as above.
        unsafe { original::getcwd()(out, size) }
    })
}

/// `getcwd` of a fortified program. One that would overflow is left, to be ended as it should be.
pub(crate) unsafe fn getcwd_checked(
    process: &Process,
    out: *mut c_char,
    size: size_t,
    room: size_t,
) -> *mut c_char {
    if size > room {
        // SAFETY: the guest's own arguments.
        return unsafe { original::__getcwd_chk()(out, size, room) };
    }
    // SAFETY: as above.
    unsafe { getcwd(process, out, size) }
}

/// `get_current_dir_name(3)`, which trusts `PWD` where it is right; there it is asked nothing.
pub(crate) unsafe fn get_current_dir_name(process: &Process) -> *mut c_char {
    // SAFETY: memory is asked for.
    unsafe { told(process, std::ptr::null_mut(), 0) }.unwrap_or_else(|| {
        // SAFETY: it takes no arguments.
        unsafe { original::get_current_dir_name()() }
    })
}

/// The working directory if it lies there.
///
/// # Safety
/// `out` is null, or has room for `size` bytes.
unsafe fn told(process: &Process, out: *mut c_char, size: size_t) -> Option<*mut c_char> {
    work(|| {
        let place = place::working_directory(process).filter(|place| place.there)?;
        // SAFETY: the caller promises room.
        Some(answer::give(unsafe { copy(&place.path, out, size) }))
    })
}

/// # Safety
/// As of [`told`].
unsafe fn copy(path: &[u8], out: *mut c_char, size: size_t) -> Outcome<*mut c_char> {
    match (out.is_null(), size) {
        (false, 0) => Err(Errno(libc::EINVAL)),
        (true, 1..) if path.len() >= size => Err(Errno(libc::ERANGE)),
        // SAFETY: the caller promises room.
        _ => unsafe { text::copy_or_allocate(path, out, size) },
    }
}
