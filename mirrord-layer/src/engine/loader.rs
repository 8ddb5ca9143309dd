//! `dlopen(3)` without `RTLD_DEEPBIND`: a library that is loaded so would find the C library's symbols before ours.
//! PHP loads its extensions that way.
//!
//! The C library looks at who calls it to find the folders of the library, so the call must not come from here: the
//! flag is cleared, and then the function jumped to as if we had never been.

use std::ffi::{c_int, c_void};

use super::original::Original;
use crate::process;

static ORIGINAL: Original = Original::new(c"dlopen");

/// Clears the flag in a guest, and says where the real function is.
unsafe extern "C" fn prepare(flags: *mut c_int) -> *mut c_void {
    if process::get().is_some() {
        // SAFETY: the symbol below has saved the flags there.
        let flags = unsafe { &mut *flags };
        *flags &= !libc::RTLD_DEEPBIND;
    }
    ORIGINAL.address()
}

#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn dlopen(path: *const std::ffi::c_char, flags: c_int) -> *mut c_void {
    std::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "lea rdi, [rsp + 8]",
        "call {prepare}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        prepare = sym prepare,
    )
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn dlopen(path: *const std::ffi::c_char, flags: c_int) -> *mut c_void {
    std::arch::naked_asm!(
        "stp x29, x30, [sp, #-32]!",
        "stp x0, x1, [sp, #16]",
        "add x0, sp, #24",
        "bl {prepare}",
        "mov x16, x0",
        "ldp x0, x1, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        "br x16",
        prepare = sym prepare,
    )
}
