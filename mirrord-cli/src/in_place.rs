//! What an editor starts in the place of a program that must be supervised: us, with the program's name in a variable.
//!
//! An editor gives a program an environment, and no more: that is enough for the layer and not for the supervisor. So
//! `mirrord ext` names this very file as the one to start. Whatever it is told is the program's.

use std::{env, ffi::OsString, iter, path::PathBuf};

use mirrord_protocol::proxy::names::PROXY_ADDRESS;

/// The program's file.
pub(crate) const PROGRAM: &str = "MIRRORD_SUPERVISED_PROGRAM";

/// The program that we stand for, and its words.
pub(crate) fn asked() -> Option<(PathBuf, Vec<OsString>)> {
    let mut words = env::args_os();
    // An editor starts us by our path; whoever says `mirrord` means us.
    if env::var_os(PROXY_ADDRESS).is_none() || words.next()? == "mirrord" {
        return None;
    }
    let program = env::var_os(PROGRAM)?;
    let words = iter::once(program.clone()).chain(words).collect();
    Some((program.into(), words))
}
