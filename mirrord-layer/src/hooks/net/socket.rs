//! `socket(2)`: made where its destination probably is.

use std::os::fd::{AsRawFd, IntoRawFd};

use libc::c_int;
use mirrord_guest::make;

use crate::{abi::socket::Socket, answer, process::Process};

pub(crate) unsafe fn socket(process: &Process, domain: c_int, kind: c_int, protocol: c_int) -> Option<c_int> {
    let made = make::socket(process, domain, kind, protocol)?.and_then(|fresh| {
        let close_on_exec = if kind & libc::SOCK_CLOEXEC == 0 { 0 } else { libc::FD_CLOEXEC };
        Socket(fresh.as_raw_fd()).control(libc::F_SETFD, close_on_exec)?;
        Ok(fresh.into_raw_fd())
    });
    Some(answer::number(made))
}
