//! Calls that take a path. A descriptor needs none: it is the kernel's, wherever its file lies; unless it is a copy.

pub(crate) mod attribute;
pub(crate) mod beneath;
pub(crate) mod change;
pub(crate) mod copied;
pub(crate) mod dir;
pub(crate) mod entry;
mod known;
pub(crate) mod link;
pub(crate) mod mark;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod place;
pub(crate) mod stat;
pub(crate) mod stdio;
pub(crate) mod system;
pub(crate) mod temporary;
pub(crate) mod tree;
pub(crate) mod walk;
pub(crate) mod way;
pub(crate) mod working;
