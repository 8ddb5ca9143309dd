//! `listen(2)`: from now on the target's connections may arrive here.

use libc::c_int;
use mirrord_guest::listen;

use crate::{abi::socket::Socket, answer, process::Process};

pub(crate) unsafe fn listen(process: &Process, fd: c_int, backlog: c_int) -> Option<c_int> {
    listen::listen(process, Socket(fd), backlog).map(answer::status)
}
