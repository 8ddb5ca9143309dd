//! Every word on the screen, and every code that the command ends with before its guest does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a story that cannot be told has failed, or says why it was skipped"
)]

mod cluster;
mod containers;
mod dump;
mod editor;
mod forward;
mod guest;
mod latency;
mod programs;
mod progress;
mod screen;
mod sessions;
mod words;
