//! C strings of the guest.

use std::ffi::{CStr, c_char, c_void};

use mirrord_core::verdict::Errno;

use crate::answer::Outcome;

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

/// Copies as many bytes as fit, without a NUL at the end, as `readlink(2)` does. Says how many.
///
/// # Safety
/// `out` has room for `size` bytes.
pub(crate) unsafe fn copy_cut(bytes: &[u8], out: *mut c_char, size: usize) -> usize {
    let length = bytes.len().min(size);
    // SAFETY: the caller promises room for `size` bytes; the guest's memory and ours do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.cast(), length) };
    length
}

/// Copies a string with its NUL into `out`, or into memory of the C library's that the guest will free, if `out` is
/// null. A string that does not fit is out of range (`ERANGE`).
///
/// # Safety
/// `out` is null, or has room for `size` bytes.
pub(crate) unsafe fn copy_or_allocate(bytes: &[u8], out: *mut c_char, size: usize) -> Outcome<*mut c_char> {
    let needed = bytes.len() + 1;
    let place = if out.is_null() {
        // SAFETY: the C library's own function.
        unsafe { libc::malloc(needed) }.cast()
    } else if needed <= size {
        out
    } else {
        return Err(Errno(libc::ERANGE));
    };
    if place.is_null() {
        return Err(Errno(libc::ENOMEM));
    }
    // SAFETY: there is room for the string, and its NUL.
    unsafe { copy_cut(bytes, place, bytes.len()) };
    // SAFETY: as above.
    unsafe { write_letters(place, bytes.len(), b"\0") };
    Ok(place)
}

/// Bytes of the guest's; none for null.
///
/// # Safety
/// There are so many, and they stay as they are for `'a`.
pub(crate) unsafe fn some<'a>(start: *const c_void, length: usize) -> &'a [u8] {
    if start.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the caller promises them.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}

/// Writes into a string of the guest's.
///
/// # Safety
/// The string is longer than `start` and `letters` together, or as long, and may be written.
pub(crate) unsafe fn write_letters(string: *mut c_char, start: usize, letters: &[u8]) {
    // SAFETY: the caller promises that the place lies in the string.
    let place = unsafe { string.add(start) };
    // SAFETY: as above; the guest's memory and ours do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(letters.as_ptr(), place.cast(), letters.len()) };
}
