//! What is done for a guest's calls on sockets, whoever has caught them: the layer in its process, or the supervisor.
//!
//! In reading order: the kernel ([`kernel`], [`socket`], [`sockaddr`], [`stat`], [`options`], [`watch`]); who asks ([`world`]);
//! where a socket lives, and how it moves ([`swap`]); and the calls: [`make`], [`connect`] ([`relay`]), [`bind`],
//! [`listen`], [`arrive`], [`name`], [`datagram`].
//!
//! There is no table of sockets. Where one lives the kernel tells ([`World::passes_sockets`]), and what it cannot tell
//! of a relayed one the proxy does, by inode: so `dup`, `fork`, `exec` and `SCM_RIGHTS` need nothing of ours.
//!
//! Nothing here uses the heap but what says so, takes a lock, or goes through the C library.

#![expect(clippy::missing_errors_doc, reason = "they fail as the system call does that they stand for")]
#![expect(clippy::must_use_candidate, reason = "what the kernel says is asked for to be used")]

pub mod arrive;
pub mod bind;
pub mod connect;
pub mod datagram;
pub mod kernel;
pub mod listen;
pub mod make;
pub mod name;
pub mod options;
pub mod pointer;
pub mod relay;
pub mod servers;
pub mod sockaddr;
pub mod socket;
pub mod stat;
pub mod swap;
pub mod watch;
pub mod world;

use mirrord_core::verdict::Errno;

pub use world::World;

/// What the guest sees of a failure.
pub type Outcome<T> = Result<T, Errno>;

/// Whether a guest's pointer points to something. The others the kernel refuses with `EFAULT`, and we must not touch.
#[must_use]
pub fn is_plausible<T>(pointer: *const T) -> bool {
    pointer::is_there(pointer.addr(), size_of::<T>())
}
