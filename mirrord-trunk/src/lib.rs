//! Carries the lanes of a session over strands, which may break, and over new ones after that.
//!
//! A *trunk* belongs to one session. Each lane of it is a pair of unix sockets on either side: whoever holds the other
//! end notices nothing of strands. What decides (offsets, credits, what is sent again) is in `mirrord_core::trunk`;
//! here are the sockets and the clock: the proxy's end ([`Near`]), the agent's ([`Far`]), and strands that only those
//! two can read ([`pinned`]). Beside that, how bytes of lanes go on uncopied ([`splice`]), and the sockets that they come from ([`socket`]).

mod bell;
mod carrier;
mod clock;
mod far;
mod greet;
mod lane;
mod near;
pub mod pinned;
mod pump;
pub mod socket;
pub mod splice;
mod strand;

pub use far::{Far, FarEvent, FarOptions, Parting};
pub use mirrord_protocol::trunk::TrunkId;
pub use near::{Near, NearEvent, NearOptions};
pub use strand::{Dial, Strand, TrunkError, Wire};
