//! Floor 6: a real cluster, and a developer who may do there what `examples/rbac.yaml` says, and nothing else.
//!
//! Every story has a namespace of its own. When it is over, nothing of ours may be left in it: no Job, no pod, no rule
//! of a firewall, no process; and the target must answer its own traffic again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot be told has failed")]

mod agents;
mod commands;
mod ends;
mod guest;
mod incoming;
mod kinds;
mod outgoing;
mod ways;
mod world;

/// A shop with its Service, and a client.
const SHOP: &str = include_str!("shop.yaml");
/// A pod that says again what it is told, with its Service.
const ECHO: &str = include_str!("echo.yaml");
/// `PostgreSQL` with its Service.
const DATABASE: &str = include_str!("database.yaml");
