//! C strings of the guest.

use std::ffi::{c_char, c_int, c_void};

use mirrord_core::verdict::Errno;

use crate::{abi::pointer, answer::Outcome};

/// The bytes of a guest's string. Nothing where there is no memory, which the kernel refuses with `EFAULT` and we must
/// not touch.
///
/// # Safety
/// What is there must be a string that ends with NUL, or with the memory, and stays as it is for `'a`.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    let mut length = 0;
    loop {
        let at = text.wrapping_add(length);
        if !pointer::is_there(at.addr(), 1) {
            return None;
        }
        let n_on_page = pointer::PAGE - at.addr() % pointer::PAGE;
        // SAFETY: so many bytes are on the page, which is there.
        let n_more = unsafe { libc::strnlen(at, n_on_page) };
        length += n_more;
        if n_more < n_on_page {
            break;
        }
    }
    // SAFETY: all of these were just looked at.
    Some(unsafe { std::slice::from_raw_parts(text.cast(), length) })
}

/// Gives the guest bytes, as many as fit, without a NUL at the end, as `readlink(2)` does. Says how many.
///
/// # Safety
/// `out` is memory of the guest's to give, or an address that the kernel would refuse.
pub(crate) unsafe fn give(bytes: &[u8], out: *mut c_void, size: usize) -> Outcome<usize> {
    let length = bytes.len().min(size);
    // SAFETY: the caller promises it.
    unsafe { pointer::write(out.expose_provenance(), &bytes[..length]) }?;
    Ok(length)
}

/// Gives the guest a structure of the kernel's.
///
/// # Safety
/// As of [`give`]; `T` is made of integers.
pub(crate) unsafe fn give_whole<T>(told: &T, out: *mut T) -> Outcome<c_int> {
    // SAFETY: the structure is as long as it is; what lies between its parts was zeroed with it.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const *told).cast::<u8>(), size_of::<T>()) };
    // SAFETY: the caller promises it.
    unsafe { give(bytes, out.cast(), bytes.len()) }.map(|_| 0)
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
        if !pointer::is_there(out.addr(), needed) {
            return Err(Errno(libc::EFAULT));
        }
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
