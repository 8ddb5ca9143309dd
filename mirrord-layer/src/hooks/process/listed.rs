//! `execl(3)` and its kin, which take their words one by one: a list is made of them, for those that take one.
//!
//! Nothing here uses a heap: a child of `vfork(2)` runs in its parent's memory.

use std::ffi::{c_char, c_int};

use mirrord_core::verdict::Errno;

use crate::{answer, engine::table::process};

/// How many of them a caller passes in registers.
#[cfg(target_arch = "x86_64")]
const N_REGISTERS: usize = 5;
#[cfg(target_arch = "aarch64")]
const N_REGISTERS: usize = 7;

const N_WORDS: usize = 1024;

/// Words of which so many were in registers, and the others on the stack.
type Place = *const *const c_char;

/// The list, in the caller's own frame.
struct Listed([*const c_char; N_WORDS]);

impl Listed {
    /// The words up to the null behind them, which is one of them; nothing if there are too many.
    ///
    /// # Safety
    /// The places are a variadic call's, whose words end with null.
    unsafe fn gather(&mut self, registers: Place, stack: Place) -> Option<usize> {
        for (index, place) in self.0.iter_mut().enumerate() {
            // SAFETY: the caller's duty.
            *place = unsafe { word(registers, stack, index) };
            if place.is_null() {
                return Some(index + 1);
            }
        }
        None
    }
}

/// # Safety
/// As of [`Listed::gather`], and there are so many words.
unsafe fn word(registers: Place, stack: Place, index: usize) -> *const c_char {
    let place = match index.checked_sub(N_REGISTERS) {
        None => registers.wrapping_add(index),
        Some(index) => stack.wrapping_add(index),
    };
    // SAFETY: the caller's duty.
    unsafe { place.read() }
}

/// Lists the words, and calls with them; `call` is told how many there are, with the null.
///
/// # Safety
/// As of [`Listed::gather`].
unsafe fn with_list(registers: Place, stack: Place, call: impl FnOnce(Place, usize) -> c_int) -> c_int {
    let mut list = Listed([std::ptr::null(); N_WORDS]);
    // SAFETY: the caller's duty.
    match unsafe { list.gather(registers, stack) } {
        Some(n_words) => call(list.0.as_ptr(), n_words),
        None => answer::status(Err(Errno(libc::E2BIG))),
    }
}

pub(crate) unsafe extern "C" fn execl(path: *const c_char, registers: Place, stack: Place) -> c_int {
    // SAFETY: the guest's path.
    let call = |words, _| unsafe { process::execv(path, words) };
    // SAFETY: the words are the guest's, under the contract of `execl(3)`.
    unsafe { with_list(registers, stack, call) }
}

pub(crate) unsafe extern "C" fn execlp(file: *const c_char, registers: Place, stack: Place) -> c_int {
    // SAFETY: the guest's name of a program.
    let call = |words, _| unsafe { process::execvp(file, words) };
    // SAFETY: the words are the guest's, under the contract of `execlp(3)`.
    unsafe { with_list(registers, stack, call) }
}

pub(crate) unsafe extern "C" fn execle(path: *const c_char, registers: Place, stack: Place) -> c_int {
    let call = |words, n_words| {
        // SAFETY: behind the words is the environment, under the contract of `execle(3)`.
        let variables = unsafe { word(registers, stack, n_words) };
        // SAFETY: the guest's path and environment.
        unsafe { process::execve(path, words, variables.cast()) }
    };
    // SAFETY: the words are the guest's, under the contract of `execle(3)`.
    unsafe { with_list(registers, stack, call) }
}
