//! Two ends of a trunk over real sockets, which are cut, stopped and lied to.

#![allow(clippy::unwrap_used, reason = "a proof that cannot go on has failed")]

mod ends;
mod liars;
mod stage;
mod streams;
