//! Calls that make or replace a process.
//!
//! `fork(2)` and `vfork(2)` need nothing: what must not be shared lies on a page that a fork wipes. A program that
//! starts with an environment of its own making gets the few variables back that make it a guest.

pub(crate) mod exec;
pub(crate) mod listed;
pub(crate) mod spawn;

mod elsewhere;
mod handed;
mod inspect;

use std::ffi::c_char;

use mirrord_protocol::proxy::names;

use crate::{abi::environment::Environment, process::Process};

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// The guest's own environment, which some calls pass on without naming it.
fn own() -> *const *const c_char {
    // SAFETY: the C library's variable; a guest that changes it meanwhile does so without us, too.
    unsafe { environ }
}

/// Replaces it.
fn set_own(list: *const *const c_char) {
    // SAFETY: as in `own`.
    unsafe { environ = list };
}

/// The environment that a new program is to get; nothing if the given one will do.
unsafe fn complete(
    process: &Process,
    room: &mut Environment,
    given: *const *const c_char,
    obstacle: Option<inspect::Obstacle>,
) -> Option<*const *const c_char> {
    let needs = process.needs.as_ref()?;
    let is_handed =
        process.host.is_some() && matches!(obstacle, Some(inspect::Obstacle::Static | inspect::Obstacle::Go));
    if is_handed || obstacle == Some(inspect::Obstacle::OtherLibc) {
        // SAFETY: the caller gives a guest's environment.
        return unsafe { room.without_preload(given, needs) };
    }
    // SAFETY: the caller gives a guest's environment.
    unsafe { room.complete(given, needs, names::DONT_LOAD.as_bytes()) }
}
