//! The kernel itself: system calls that pass by the C library, and so by our own hooks and the guest's errno.

use libc::c_long;
use mirrord_core::verdict::Errno;

use crate::Outcome;

/// A system call.
///
/// # Safety
/// What the call reads and writes must be the caller's to give.
pub unsafe fn call(number: c_long, arguments: [usize; 6]) -> Outcome<usize> {
    const LAST_ERRNO: isize = 4095;
    // SAFETY: the caller's duty.
    let answer = unsafe { enter(number, arguments) };
    match answer {
        0.. => Ok(answer.unsigned_abs()),
        _ if answer >= -LAST_ERRNO => Err(Errno(i32::try_from(-answer).unwrap_or(libc::EIO))),
        // An address in the upper half.
        _ => Ok(answer.cast_unsigned()),
    }
}

/// A number as an argument of a system call: sign-extended, as C passes it.
pub fn int(number: i32) -> usize {
    isize::try_from(number).unwrap_or(0).cast_unsigned()
}

/// A system call that waits, repeated when a signal interrupts it.
///
/// # Safety
/// As for [`call`].
pub unsafe fn call_again(number: c_long, arguments: [usize; 6]) -> Outcome<usize> {
    loop {
        // SAFETY: the caller's duty.
        match unsafe { call(number, arguments) } {
            Err(Errno(libc::EINTR)) => {}
            outcome => return outcome,
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::many_single_char_names, reason = "they are six arguments")]
unsafe fn enter(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer;
    // SAFETY: the kernel changes the named registers and what the caller gave it; nothing else.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

#[cfg(target_arch = "aarch64")]
#[expect(clippy::many_single_char_names, reason = "they are six arguments")]
unsafe fn enter(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer;
    // SAFETY: the kernel changes the named registers and what the caller gave it; nothing else.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    answer
}
