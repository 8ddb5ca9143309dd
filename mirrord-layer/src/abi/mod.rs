//! C memory in, Rust values out; with `engine/`, the only home of raw pointers.

pub(crate) mod actions;
pub(crate) mod addrinfo;
pub(crate) mod environment;
pub(crate) mod hostent;
pub(crate) mod kernel;
pub(crate) mod sockaddr;
pub(crate) mod socket;
pub(crate) mod stat;
pub(crate) mod text;

/// Whether a guest's pointer may point to something. The others the kernel refuses with `EFAULT`, and we must not
/// touch: null, the first page that stands for it, and what lies beyond the memory of programs.
pub(crate) fn is_plausible<T>(pointer: *const T) -> bool {
    const FIRST_PAGE: usize = 4096;
    const BEYOND: usize = 1 << 56;
    (FIRST_PAGE..BEYOND).contains(&pointer.addr())
}
