//! What is asked of a cluster, in one page.
//!
//! `client` reaches it, `resolve` finds the target's pod, `launch` makes an agent of what `manifest` wrote,
//! `port_forward` reaches that, `follow` sees pods come and go, `remove` leaves nothing behind.
//! `problem` says what went wrong, and what can be done.

mod buffered;
mod candidate;
pub mod client;
mod context;
mod gateway;
pub mod pod;
pub mod resolve;
mod secret;
pub mod selection;
mod selector;

mod absent;
pub mod list;

pub mod agent;
pub mod crew;
pub mod manifest;

pub mod launch;
pub mod port_forward;

pub mod follow;
pub mod remove;

mod answer;
mod ask;
pub mod kubeconfig;
pub mod problem;

#[cfg(test)]
mod fixture;

pub use agent::{AgentPod, Opened, Step};
pub use client::Cluster;
pub use pod::{Found, Mesh, TargetPod};
pub use problem::{Ask, ClusterError};
