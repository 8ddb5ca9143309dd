//! C strings of the guest.

use std::ffi::{CStr, c_char};

/// The bytes of a guest's string. Nothing for null and the addresses that stand for it, which the kernel refuses with
/// `EFAULT` and we must not touch.
///
/// # Safety
/// Another pointer must point to a string that ends with NUL and stays as it is for `'a`.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    const FIRST_PAGE: usize = 4096;
    if text.addr() < FIRST_PAGE {
        return None;
    }
    // SAFETY: the caller promises a string.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}
