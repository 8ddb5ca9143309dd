//! The row of calls by number.

use libc::c_long;

rows! {
    fn syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long
        = numbered::syscall, "fs, outgoing, incoming";
}
