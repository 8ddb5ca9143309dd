//! What the user asked for: load, resolve, lower; three steps from text to rules.
//!
//! A file's text is rendered, read into a tree whose every value knows where it came from, and checked against
//! the schema; short forms are written out, the environment and the flags are laid over it, keys that must wait are
//! refused, and what remains gets types, and meaning.

pub mod handoff;

#[cfg(feature = "files")]
mod check;
#[cfg(feature = "files")]
pub mod file;
#[cfg(feature = "files")]
mod later;
#[cfg(feature = "files")]
pub mod lower;
#[cfg(all(test, feature = "files"))]
mod manual;
#[cfg(feature = "files")]
mod nearest;
#[cfg(feature = "files")]
pub mod problem;
#[cfg(feature = "files")]
mod read;
#[cfg(feature = "files")]
pub mod resolve;
#[cfg(feature = "files")]
mod schema;
#[cfg(feature = "files")]
pub mod section;
#[cfg(feature = "files")]
mod shape;
#[cfg(feature = "files")]
pub mod source;
#[cfg(feature = "files")]
mod template;
#[cfg(feature = "files")]
mod tree;
#[cfg(feature = "files")]
mod verify;

#[cfg(feature = "files")]
pub use lower::Lowered;
#[cfg(feature = "files")]
pub use problem::{Problem, Problems};
#[cfg(feature = "files")]
pub use resolve::{Input, Resolved, resolve};
#[cfg(feature = "files")]
pub use schema::schema;
#[cfg(feature = "files")]
pub use source::FileSource;
#[cfg(feature = "files")]
pub use verify::verify;
