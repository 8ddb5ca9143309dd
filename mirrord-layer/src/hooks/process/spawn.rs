//! `posix_spawn(3)`.

use std::{
    ffi::{c_char, c_int, c_void},
    os::fd::{FromRawFd, OwnedFd},
};

use libc::{mode_t, pid_t};

use super::{
    complete,
    elsewhere::{Elsewhere, Found},
    handed::Handed,
    inspect, own, set_own,
};
use crate::{
    abi::{actions::Actions, environment::Environment},
    answer::{self, Outcome},
    engine::table::{self, process::original},
    hooks::fs::way::leads_there,
    process::Process,
};

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
    let call = |file, words, actions, variables| {
        // SAFETY: the guest's own arguments, or what stands for them and lives as long as the call.
        unsafe { original::posix_spawn()(child, file, actions, attributes, words, variables) }
    };
    let mut elsewhere = Elsewhere::new();
    // SAFETY: the guest's own arguments.
    let found = unsafe { elsewhere.find(process, path, arguments) };
    // SAFETY: the guest's own arguments.
    unsafe { spawn(process, &found, path, arguments, actions, variables, call) }
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
    let mut found = inspect::Found::new();
    // SAFETY: the guest's name of a program.
    let path = unsafe { found.look_for(file) };
    let mut elsewhere = Elsewhere::new();
    // SAFETY: the guest's own arguments.
    let there = unsafe { elsewhere.search(process, &mut found, (file, path), arguments) };
    let call = |chosen: *const c_char, words, actions, variables| {
        let file = if chosen == path { file } else { chosen };
        // SAFETY: the guest's own arguments, or what stands for them and lives as long as the call.
        unsafe { original::posix_spawnp()(child, file, actions, attributes, words, variables) }
    };
    // SAFETY: the guest's own arguments, and a path.
    unsafe { spawn(process, &there, path, arguments, actions, variables, call) }
}

/// Completes what a new program is to get, and opens what lies there before the child would open it here.
unsafe fn spawn(
    process: &Process,
    found: &Found,
    path: *const c_char,
    arguments: List,
    actions: *const c_void,
    variables: List,
    call: impl FnOnce(*const c_char, List, *const c_void, List) -> c_int,
) -> Option<c_int> {
    let (file, said, arguments) = match *found {
        Found::AsSaid => (path, path, arguments),
        Found::Instead { file, said, words } => (file, said, words),
        Found::Refused(errno) => return Some(errno.0),
    };
    // SAFETY: the guest's path, if it is one.
    let obstacle = unsafe { inspect::note(process, file) };
    let (mut environment, mut list) = (Environment::new(), Actions::new());
    // SAFETY: the guest's environment.
    let completed = unsafe { complete(process, &mut environment, variables, obstacle) };
    // SAFETY: the paths are those of the guest's list.
    let open = |path, flags, mode| unsafe { open_there(process, path, flags, mode) };
    // SAFETY: the guest's list.
    let opened = unsafe { list.fill(actions, open) };
    let mut words = Handed::new();
    // SAFETY: the guest's path and arguments.
    let handed = unsafe { words.fill(process, obstacle, said, arguments) };
    let is_as_said = matches!(found, Found::AsSaid);
    if is_as_said && opened.is_none() && completed.is_none() && handed.is_none() {
        return None;
    }
    let (file, arguments) = handed.map_or((file, arguments), |(host, words)| (host.as_ptr(), words));
    let actions = match opened {
        Some(Err(errno)) => return Some(errno.0),
        Some(Ok(opened)) => opened,
        None => actions,
    };
    Some(call(file, arguments, actions, completed.unwrap_or(variables)))
}

/// A file of the target's, on a number that no other action of the child means.
unsafe fn open_there(
    process: &Process,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> Option<Outcome<OwnedFd>> {
    const HIGH: c_int = 512;
    // SAFETY: the guest's path.
    if !unsafe { leads_there(process, path) } {
        return None;
    }
    // SAFETY: the guest's path.
    let fd = unsafe { table::fs::open(path, flags | libc::O_CLOEXEC, mode) };
    if fd < 0 {
        return Some(Err(answer::errno()));
    }
    // SAFETY: the descriptor is fresh, and nobody else's.
    let opened = unsafe { OwnedFd::from_raw_fd(fd) };
    Some(Ok(rustix::io::fcntl_dupfd_cloexec(&opened, HIGH).unwrap_or(opened)))
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
