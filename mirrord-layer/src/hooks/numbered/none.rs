//! Machines whose kernel has no calls of before `openat(2)`.

use std::ffi::c_long;

use super::Arguments;

pub(super) unsafe fn call(_: c_long, _: Arguments) -> Option<c_long> {
    None
}
