//! The rows of sockets: calls that take an address.

use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};

waiting_rows! {
    before fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int = net::socket::socket, "outgoing";
    before fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int
        = net::connect::connect, "outgoing";
    before fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int = net::bind::bind, "incoming";
    before fn listen(fd: c_int, backlog: c_int) -> c_int = net::listen::listen, "incoming";
    around fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int
        = net::accept::accept, "incoming";
    around fn accept4(fd: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int
        = net::accept::accept4, "incoming";
    before fn getsockname(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int
        = net::name::getsockname, "incoming, outgoing";
    before fn getpeername(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int
        = net::name::getpeername, "incoming, outgoing";
    before fn getsockopt(
        fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t,
    ) -> c_int = net::relay::getsockopt, "outgoing";
    around fn sendto(
        fd: c_int, bytes: *const c_void, n_bytes: size_t, flags: c_int, address: *const sockaddr, length: socklen_t,
    ) -> ssize_t = net::datagram::sendto, "outgoing";
    around fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t
        = net::datagram::sendmsg, "outgoing";
    around fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n_messages: c_uint, flags: c_int) -> c_int
        = net::datagram::sendmmsg, "outgoing";
    around fn recvfrom(
        fd: c_int, bytes: *mut c_void, n_bytes: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t,
    ) -> ssize_t = net::datagram::recvfrom, "outgoing";
    around fn __recvfrom_chk(
        fd: c_int, bytes: *mut c_void, n_bytes: size_t, room: size_t, flags: c_int, address: *mut sockaddr,
        length: *mut socklen_t,
    ) -> ssize_t = net::datagram::recvfrom_checked, "outgoing";
    around fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t
        = net::datagram::recvmsg, "outgoing";
    around fn recvmmsg(
        fd: c_int, messages: *mut mmsghdr, n_messages: c_uint, flags: c_int, patience: *mut timespec,
    ) -> c_int = net::datagram::recvmmsg, "outgoing";
}
