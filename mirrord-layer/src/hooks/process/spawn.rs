//! `posix_spawn(3)`.

use std::ffi::{c_char, c_int, c_void};

use libc::pid_t;

use super::{complete, inspect};
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
    unsafe { inspect::note(process, path) };
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables) }?;
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
    unsafe { inspect::note(process, file) };
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables) }?;
    // SAFETY: as in `posix_spawn`.
    Some(unsafe { original::posix_spawnp()(child, file, actions, attributes, arguments, completed) })
}
