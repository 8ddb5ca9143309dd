//! How calls are caught: the contract of a trapping technique, and the two that there are.
//!
//! 1. A hook displaces one symbol of the C library, and its original stays callable.
//! 2. A hook runs its body only in a guest that has booted; otherwise it *is* the original.
//! 3. What panics is answered by the original: nothing unwinds into the guest. The original itself runs outside of
//!    every catch, because a thread may be cancelled in it.
//! 4. The technique knows no rule, and a rule knows no technique.

#[cfg(feature = "frida")]
pub(crate) mod frida;
mod loader;
pub(crate) mod original;
pub(crate) mod table;

use std::panic::AssertUnwindSafe;

use crate::{
    arena::Scope,
    process::{self, Process},
};

/// Runs a body that says nothing where the call is to be left: then, in a process that is no guest, and when the body
/// panics. The caller runs the original itself, outside of every catch, so that a thread may be cancelled in it.
pub(crate) fn taken<T>(body: impl FnOnce(&'static Process) -> Option<T>) -> Option<T> {
    let process = process::get()?;
    caught(|| body(process))
}

/// As [`taken`], where it is known that the process is a guest.
pub(crate) fn caught<T>(deed: impl FnOnce() -> Option<T>) -> Option<T> {
    match std::panic::catch_unwind(AssertUnwindSafe(deed)) {
        Ok(answer) => answer,
        Err(payload) => {
            // It may lie in an arena that has been given back.
            std::mem::forget(payload);
            None
        }
    }
}

/// Work that allocates, in memory that is given back when it ends. A value that leaves it must not point into it.
pub(crate) fn work<T>(deed: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter();
    deed()
}
