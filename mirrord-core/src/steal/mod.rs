//! The agent's routing as a state machine: events in, effects out, looking apart.
//!
//! [`clients`] knows who is there, [`subscriptions`] who asked for which port, [`route`] what becomes of one connection.
//! The kernel, the sockets and the clock are the carrier's affair.

pub mod clients;
pub mod route;
pub mod subscriptions;

pub use clients::{Clients, Due};
pub use route::{Arrivals, Route};
pub use subscriptions::{Denial, Effect, Subscriptions};
