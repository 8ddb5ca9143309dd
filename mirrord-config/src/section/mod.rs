//! The headings of the manual, one file each.

pub mod agent;
pub mod dns;
pub mod env;
pub mod experimental;
pub mod feature;
pub mod fs;
pub mod incoming;
pub mod kubernetes;
pub mod network;
pub mod outgoing;
pub mod proxy;
pub mod supervisor;
pub mod target;
