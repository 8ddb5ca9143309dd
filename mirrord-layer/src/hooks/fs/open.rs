//! `open(2)` and its family.

use libc::{c_char, c_int, mode_t};

use crate::{engine::table::fs::original, process::Process};

pub(crate) unsafe fn open(_process: &Process, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the guest's own arguments.
    unsafe { original::open()(path, flags, mode) }
}
