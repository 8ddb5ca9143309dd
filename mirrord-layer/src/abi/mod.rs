//! C memory in, Rust values out; with `engine/`, the only home of raw pointers.

pub(crate) mod socket;
pub(crate) mod stat;
pub(crate) mod text;
