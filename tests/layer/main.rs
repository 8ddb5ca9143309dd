//! The layer: the real library in real guests, against a proxy that plays a script.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a story that cannot be told has failed, and says where"
)]

mod elsewhere;
mod fs;
mod guest;
mod liars;
mod net;
mod scripted_proxy;
mod target;
