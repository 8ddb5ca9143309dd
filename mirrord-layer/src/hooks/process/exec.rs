//! `execve(2)` and its family.

use std::ffi::{c_char, c_int};

use super::{
    complete,
    elsewhere::{Elsewhere, Found},
    handed::Handed,
    inspect::{self, Obstacle},
    own,
};
use crate::{
    abi::{environment::Environment, text},
    answer,
    engine::table::process::original,
    process::Process,
};

type List = *const *const c_char;

pub(crate) unsafe fn execve(
    process: &Process,
    path: *const c_char,
    arguments: List,
    variables: List,
) -> Option<c_int> {
    let call = |file, words, variables| {
        // SAFETY: the guest's own arguments, or what stands for them and lives as long as the call.
        unsafe { original::execve()(file, words, variables) }
    };
    let mut elsewhere = Elsewhere::new();
    // SAFETY: the guest's own arguments.
    match unsafe { elsewhere.find(process, path, arguments) } {
        Found::AsSaid => {
            // SAFETY: the guest's path.
            let obstacle = unsafe { inspect::note(process, path) };
            // SAFETY: the guest's own arguments.
            unsafe { replace(process, obstacle, (path, path), arguments, variables, call) }
        }
        // SAFETY: what stands for the guest's own arguments.
        found => unsafe { become_found(process, &found, variables) },
    }
}

/// Runs a program of there, or fails as it has.
///
/// # Safety
/// What was found stands for the guest's own arguments, and the environment is the guest's.
unsafe fn become_found(process: &Process, found: &Found, variables: List) -> Option<c_int> {
    let (file, said, words) = match *found {
        Found::AsSaid => return None,
        Found::Instead { file, said, words } => (file, said, words),
        Found::Refused(errno) => return Some(answer::status(Err(errno))),
    };
    let call = |file, words, variables| {
        // SAFETY: the caller's duty.
        unsafe { original::execve()(file, words, variables) }
    };
    // SAFETY: a path.
    let obstacle = unsafe { inspect::note(process, file) };
    // SAFETY: the caller's duty.
    let replaced = unsafe { replace(process, obstacle, (file, said), words, variables, call) };
    Some(replaced.unwrap_or_else(|| call(file, words, variables)))
}

/// Runs what is to be run in the place of what the guest asks for; nothing if that will do. The file is named as the
/// kernel finds it, and as a supervisor does.
///
/// # Safety
/// Both names are strings, and both lists are of strings and end with null.
unsafe fn replace(
    process: &Process,
    obstacle: Option<Obstacle>,
    (file, said): (*const c_char, *const c_char),
    arguments: List,
    variables: List,
    call: impl FnOnce(*const c_char, List, List) -> c_int,
) -> Option<c_int> {
    let (mut room, mut words) = (Environment::new(), Handed::new());
    // SAFETY: the caller's duty.
    let handed = unsafe { words.fill(process, obstacle, said, arguments) };
    // SAFETY: as above.
    let completed = unsafe { complete(process, &mut room, variables, obstacle) };
    match (handed, completed) {
        (None, None) => None,
        (None, Some(completed)) => Some(call(file, arguments, completed)),
        (Some((host, words)), completed) => Some(call(host.as_ptr(), words, completed.unwrap_or(variables))),
    }
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
    let mut found = inspect::Found::new();
    // SAFETY: the guest's name of a program.
    let path = unsafe { found.look_for(file) };
    let mut elsewhere = Elsewhere::with_shell();
    // SAFETY: the guest's own arguments.
    let there = unsafe { elsewhere.search(process, &mut found, (file, path), arguments) };
    if !matches!(there, Found::AsSaid) {
        // SAFETY: what stands for the guest's own arguments.
        return unsafe { become_found(process, &there, variables) };
    }
    // SAFETY: a path.
    let obstacle = unsafe { inspect::note(process, path) };
    let call = |chosen: *const c_char, words, variables| {
        let file = if chosen == path { file } else { chosen };
        // SAFETY: the guest's own arguments, or what stands for them and lives as long as the call.
        unsafe { original::execvpe()(file, words, variables) }
    };
    // SAFETY: the guest's own arguments, and a path.
    unsafe { replace(process, obstacle, (path, path), arguments, variables, call) }
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
    // SAFETY: the guest's path.
    let is_absolute = unsafe { text::bytes(path) }.is_some_and(|path| path.starts_with(b"/"));
    if flags == 0 && (dir == libc::AT_FDCWD || is_absolute) {
        // SAFETY: the guest's own arguments.
        return unsafe { execve(process, path, arguments, variables) };
    }
    let mut room = Environment::new();
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut room, variables, None) }?;
    // SAFETY: as in `execve`.
    Some(unsafe { original::execveat()(dir, path, arguments, completed, flags) })
}
