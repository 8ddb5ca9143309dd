//! Floor 4: the real agent in a pretend pod.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a story that cannot be told has failed, and says where"
)]

mod calls;
mod changes;
mod containers;
mod ends;
mod envoy;
mod files;
mod handles;
mod listening;
mod names;
mod nonsense;
mod places;
mod standing;
mod staying;
mod streams;
mod trunks;
