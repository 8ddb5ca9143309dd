//! `posix_spawn(3)`.

use std::ffi::{c_char, c_int, c_void};

use libc::pid_t;

use super::{complete, inspect, own, set_own};
use crate::{abi::environment::Environment, engine::table::process::original, process::Process};

type List = *const *const c_char;

pub(crate) unsafe fn posix_spawn(
    process: &Process,
    child: *mut pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: List,
    variables: List,
) -> Option<c_int> {
    // SAFETY: the guest's path.
    let obstacle = unsafe { inspect::note(process, path) };
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, obstacle) }?;
    // SAFETY: the guest's own arguments, and an environment that lives as long as the call.
    Some(unsafe { original::posix_spawn()(child, path, actions, attributes, arguments, completed) })
}

pub(crate) unsafe fn posix_spawnp(
    process: &Process,
    child: *mut pid_t,
    file: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: List,
    variables: List,
) -> Option<c_int> {
    // SAFETY: the guest's path, if it is one.
    let obstacle = unsafe { inspect::note(process, file) };
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, obstacle) }?;
    // SAFETY: as in `posix_spawn`.
    Some(unsafe { original::posix_spawnp()(child, file, actions, attributes, arguments, completed) })
}

/// `system(3)`, in the guest's own environment.
pub(crate) unsafe fn system(process: &Process, command: *const c_char) -> Option<c_int> {
    // SAFETY: the guest's own argument.
    with_own(process, || unsafe { original::system()(command) })
}

/// `popen(3)`, in the guest's own environment.
pub(crate) unsafe fn popen(
    process: &Process,
    command: *const c_char,
    mode: *const c_char,
) -> Option<*mut libc::FILE> {
    // SAFETY: the guest's own arguments.
    with_own(process, || unsafe { original::popen()(command, mode) })
}

/// Completes the guest's own environment while a call passes it on; a guest that has emptied it finds it so again.
fn with_own<T>(process: &Process, call: impl FnOnce() -> T) -> Option<T> {
    let mut room = Environment::new();
    let given = own();
    // SAFETY: the guest's own environment.
    let completed = unsafe { complete(process, &mut room, given, None) }?;
    set_own(completed);
    let answer = call();
    // The guest may have made itself another one meanwhile.
    if own() == completed {
        set_own(given);
    }
    Some(answer)
}
