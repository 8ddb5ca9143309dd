//! Floor 2: the real proxy between scripted layers and the real agent in a pretend pod.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a story that cannot be told has failed, and says where"
)]

mod beginnings;
mod ends;
mod envoy;
mod files;
mod incoming;
mod layer;
mod liars;
mod stage;
#[path = "../../mirrord-cli/src/proxy/start.rs"]
mod start;
mod streams;
mod surveys;
mod trunk;
