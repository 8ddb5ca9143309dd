//! Randomness, as digits.

use std::{fmt::Write, fs::File, io::Read};

/// This many random bytes, in lower-case hexadecimal.
pub(crate) fn hex(n_bytes: usize) -> String {
    let mut bytes = vec![0; n_bytes];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let n_got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), n_bytes, 0) };
    if usize::try_from(n_got) != Ok(n_bytes) {
        // A sandbox that refuses the call still has the device, or the session is refused by its socket's name.
        let _ = File::open("/dev/urandom").and_then(|mut device| device.read_exact(&mut bytes));
    }
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
