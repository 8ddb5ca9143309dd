//! What the user asked for: load, resolve, lower; three steps from text to rules.

pub mod handoff;

#[cfg(feature = "files")]
pub mod lower;
#[cfg(feature = "files")]
pub mod problem;
#[cfg(feature = "files")]
pub mod resolve;
#[cfg(feature = "files")]
pub mod source;

#[cfg(feature = "files")]
pub use lower::Lowered;
#[cfg(feature = "files")]
pub use problem::{Problem, Problems};
#[cfg(feature = "files")]
pub use resolve::{Input, Resolved, resolve, schema, verify};
#[cfg(feature = "files")]
pub use source::FileSource;
