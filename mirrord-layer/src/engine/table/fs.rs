//! The rows of files: calls that take a path.

use libc::{c_char, c_int, mode_t};

rows! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = fs::open::open, "fs";
}
