//! `mirrord intproxy`: one session's proxy, started by `exec`.

use std::process::ExitCode;

pub(crate) fn run() -> ExitCode {
    crate::proxy::run()
}
