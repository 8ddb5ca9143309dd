//! What is done about a call, by family. Each body has five beats: read, decide, act, record, answer.

pub(crate) mod fs;
pub(crate) mod names;
pub(crate) mod net;
pub(crate) mod numbered;
pub(crate) mod process;
