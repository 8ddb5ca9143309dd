//! The two languages of mirrord, who speaks them, and the four rules of changing them.
//!
//! [`proxy`] is spoken between a layer and its local proxy, [`agent`] between that proxy and the agent.
//! Both travel as bincode inside frames ([`frame`]) or, where the socket keeps boundaries, as one packet each.
//! Streams of users' bytes never do: they have lanes of their own, cut into [`chunk`]s.
//! Where lanes are not sockets that can be handed over, a [`trunk`] carries them.
//!
//! The four rules:
//! 1. A variant or a field is only ever appended; what was released is readable for ever.
//! 2. A feature that a peer may lack has its row in [`version`].
//! 3. No bare integer crosses: ids and faults have types.
//! 4. A length, an id or a path is checked by whoever uses it; nobody believes a peer.

pub mod chunk;
pub mod fault;
pub mod frame;
pub mod id;
pub mod trunk;
pub mod version;
pub mod wire;

pub mod agent;
pub mod proxy;

mod path;
pub use path::GuestPath;
