//! The rows of names: hosts, services and the host's own.

use libc::{addrinfo, c_char, c_int, c_uchar, c_void, hostent, size_t, sockaddr, socklen_t, utsname};

waiting_rows! {
    before fn getaddrinfo(
        name: *const c_char, service: *const c_char, hints: *const addrinfo, found: *mut *mut addrinfo,
    ) -> c_int = names::addrinfo::getaddrinfo, "dns";
    before fn getnameinfo(
        address: *const sockaddr, length: socklen_t, host: *mut c_char, host_room: socklen_t, service: *mut c_char,
        service_room: socklen_t, flags: c_int,
    ) -> c_int = names::reverse::getnameinfo, "dns";
    before fn gethostbyname(name: *const c_char) -> *mut hostent = names::host::gethostbyname, "dns";
    before fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent
        = names::host::gethostbyname2, "dns";
    before fn gethostbyname_r(
        name: *const c_char, host: *mut hostent, room: *mut c_char, size: size_t, found: *mut *mut hostent,
        error: *mut c_int,
    ) -> c_int = names::host::gethostbyname_r, "dns";
    before fn gethostbyname2_r(
        name: *const c_char, family: c_int, host: *mut hostent, room: *mut c_char, size: size_t,
        found: *mut *mut hostent, error: *mut c_int,
    ) -> c_int = names::host::gethostbyname2_r, "dns";
    before fn gethostbyaddr(address: *const c_void, length: socklen_t, family: c_int) -> *mut hostent
        = names::reverse::gethostbyaddr, "dns";
    before fn gethostbyaddr_r(
        address: *const c_void, length: socklen_t, family: c_int, host: *mut hostent, room: *mut c_char,
        size: size_t, found: *mut *mut hostent, error: *mut c_int,
    ) -> c_int = names::reverse::gethostbyaddr_r, "dns";
    before fn res_query(
        name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::res_query, "dns";
    before fn res_search(
        name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::res_search, "dns";
    before fn res_querydomain(
        name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::res_querydomain, "dns";
    before fn res_send(message: *const c_uchar, length: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        = names::resolver::res_send, "dns";
    before fn res_nquery(
        state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::res_nquery, "dns";
    before fn res_nsearch(
        state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::res_nsearch, "dns";
    before fn res_nsend(
        state: *mut c_void, message: *const c_uchar, length: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::res_nsend, "dns";
    around fn __res_query(
        name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::old_res_query, "dns";
    around fn __res_search(
        name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::old_res_search, "dns";
    around fn __res_send(message: *const c_uchar, length: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        = names::resolver::old_res_send, "dns";
    around fn __res_nquery(
        state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::old_res_nquery, "dns";
    around fn __res_nsearch(
        state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::old_res_nsearch, "dns";
    around fn __res_nsend(
        state: *mut c_void, message: *const c_uchar, length: c_int, answer: *mut c_uchar, room: c_int,
    ) -> c_int = names::resolver::old_res_nsend, "dns";
    before fn gethostname(place: *mut c_char, room: size_t) -> c_int = names::own::gethostname, "hostname";
    before fn __gethostname_chk(place: *mut c_char, room: size_t, real_room: size_t) -> c_int
        = names::own::gethostname_checked, "hostname";
    before fn uname(place: *mut utsname) -> c_int = names::own::uname, "hostname";
}
