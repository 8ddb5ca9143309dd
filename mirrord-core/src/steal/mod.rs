//! The agent's routing as a state machine: events in, effects out, looking apart.
//!
//! [`subscriptions`] knows who asked for which port, [`route`] what becomes of one connection. The kernel, the sockets
//! and the clients are the carrier's affair.

pub mod route;
pub mod subscriptions;

pub use route::{Arrivals, Route};
pub use subscriptions::{Denial, Effect, Subscriptions};
