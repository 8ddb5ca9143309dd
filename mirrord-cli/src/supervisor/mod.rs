//! The second engine: a process beside the guests that answers their system calls. Nothing of ours is in them.
//!
//! A filter of `seccomp(2)` ([`filter`], [`calls`]), set before the guest's `execve(2)` and inherited by all that it
//! starts, stops the calls that take a path, a name or an address. The kernel tells them to us ([`notify`]); we look at
//! the guest's memory ([`memory`]), at its process ([`guests`]), and decide by the same rules and with the same deeds
//! as the layer does (`mirrord-core`, `mirrord-guest`); the proxy is asked as a layer asks ([`link`]). What is left goes on as if
//! nobody had looked; what is taken is answered, with a real descriptor where the call makes one.
//!
//! In reading order: what it needs ([`support`]), how it begins ([`start`], [`front`]), how calls reach workers ([`serve`], [`crew`]), who calls ([`caller`], [`acting`]), whether it still waits ([`lookout`]), and the
//! families: [`fs`], [`net`], [`own`], [`exec`] with its [`trampoline`].
//!
//! It is no boundary: a guest that wants to can change its memory behind our back, and gains nothing by it that it
//! could not do itself. It acts for a thread only while that thread waits, and only on what is that thread's.

mod acting;
mod caller;
mod calls;
mod crew;
mod exec;
mod filter;
mod front;
mod fs;
mod guests;
mod link;
mod lookout;
mod memory;
mod net;
mod notify;
mod own;
mod serve;
pub(crate) mod start;
mod step;
pub(crate) mod support;
mod trampoline;
