//! Calls on sockets, by their number.

use std::ffi::c_long;

use super::{Arguments, ToLong, int, pointer, size, unsigned};
use crate::engine::table::net;

#[expect(clippy::many_single_char_names, reason = "they are six arguments")]
pub(super) unsafe fn call(number: c_long, arguments: Arguments) -> Option<c_long> {
    let [a, b, c, d, e, f] = arguments;
    match number {
        libc::SYS_socket => call!(net::socket, int(a), int(b), int(c)),
        libc::SYS_connect => call!(net::connect, int(a), pointer(b), unsigned(c)),
        libc::SYS_bind => call!(net::bind, int(a), pointer(b), unsigned(c)),
        libc::SYS_listen => call!(net::listen, int(a), int(b)),
        libc::SYS_accept => call!(net::accept, int(a), pointer(b), pointer(c)),
        libc::SYS_accept4 => call!(net::accept4, int(a), pointer(b), pointer(c), int(d)),
        libc::SYS_getsockname => call!(net::getsockname, int(a), pointer(b), pointer(c)),
        libc::SYS_getpeername => call!(net::getpeername, int(a), pointer(b), pointer(c)),
        libc::SYS_getsockopt => call!(net::getsockopt, int(a), int(b), int(c), pointer(d), pointer(e)),
        libc::SYS_sendto => {
            call!(net::sendto, int(a), pointer(b), size(c), int(d), pointer(e), unsigned(f))
        }
        libc::SYS_sendmsg => call!(net::sendmsg, int(a), pointer(b), int(c)),
        libc::SYS_sendmmsg => call!(net::sendmmsg, int(a), pointer(b), unsigned(c), int(d)),
        libc::SYS_recvfrom => {
            call!(net::recvfrom, int(a), pointer(b), size(c), int(d), pointer(e), pointer(f))
        }
        libc::SYS_recvmsg => call!(net::recvmsg, int(a), pointer(b), int(c)),
        libc::SYS_recvmmsg => {
            call!(net::recvmmsg, int(a), pointer(b), unsigned(c), int(d), pointer(e))
        }
        _ => None,
    }
}
