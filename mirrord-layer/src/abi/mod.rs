//! C memory in, Rust values out; with `engine/`, the only home of raw pointers.

pub(crate) mod actions;
pub(crate) mod addrinfo;
pub(crate) mod environment;
pub(crate) mod hostent;
pub(crate) mod text;

pub(crate) use mirrord_guest::{is_plausible, kernel, pointer, sockaddr, socket, stat};
