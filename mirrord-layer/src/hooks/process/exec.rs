//! `execve(2)` and its family.

use std::ffi::{c_char, c_int};

use super::{complete, inspect, own};
use crate::{abi::environment::Environment, engine::table::process::original, process::Process};

type List = *const *const c_char;

pub(crate) unsafe fn execve(
    process: &Process,
    path: *const c_char,
    arguments: List,
    variables: List,
) -> Option<c_int> {
    // SAFETY: the guest's path.
    let obstacle = unsafe { inspect::note(process, path) };
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, obstacle) }?;
    // SAFETY: the guest's own arguments, and an environment that lives as long as the call.
    Some(unsafe { original::execve()(path, arguments, completed) })
}

pub(crate) unsafe fn execv(process: &Process, path: *const c_char, arguments: List) -> Option<c_int> {
    // SAFETY: the guest's own arguments: `execv(3)` is `execve(2)` with the guest's own environment.
    unsafe { execve(process, path, arguments, own()) }
}

pub(crate) unsafe fn execvp(process: &Process, file: *const c_char, arguments: List) -> Option<c_int> {
    // SAFETY: as in `execv`.
    unsafe { execvpe(process, file, arguments, own()) }
}

pub(crate) unsafe fn execvpe(
    process: &Process,
    file: *const c_char,
    arguments: List,
    variables: List,
) -> Option<c_int> {
    // SAFETY: the guest's path, if it is one.
    let obstacle = unsafe { inspect::note(process, file) };
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, obstacle) }?;
    // SAFETY: as in `execve`.
    Some(unsafe { original::execvpe()(file, arguments, completed) })
}

pub(crate) unsafe fn fexecve(
    process: &Process,
    fd: c_int,
    arguments: List,
    variables: List,
) -> Option<c_int> {
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, None) }?;
    // SAFETY: as in `execve`.
    Some(unsafe { original::fexecve()(fd, arguments, completed) })
}

pub(crate) unsafe fn execveat(
    process: &Process,
    dir: c_int,
    path: *const c_char,
    arguments: List,
    variables: List,
    flags: c_int,
) -> Option<c_int> {
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, None) }?;
    // SAFETY: as in `execve`.
    Some(unsafe { original::execveat()(dir, path, arguments, completed, flags) })
}
