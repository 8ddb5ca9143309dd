//! Calls that take an address: read from C memory here, done in `mirrord-guest`.

pub(crate) mod accept;
pub(crate) mod bind;
pub(crate) mod connect;
pub(crate) mod datagram;
pub(crate) mod listen;
pub(crate) mod name;
pub(crate) mod relay;
pub(crate) mod servers;
pub(crate) mod socket;

mod epoll;
mod world;
