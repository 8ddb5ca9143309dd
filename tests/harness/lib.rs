//! The words in which stories are told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a story that cannot be told has failed, and says where"
)]

pub mod cluster;
pub mod eventually;
pub mod ground;
pub mod guest;
pub mod pod;
pub mod ports;
pub mod programs;
pub mod running;
pub mod session;
pub mod suite;
pub mod transcript;
