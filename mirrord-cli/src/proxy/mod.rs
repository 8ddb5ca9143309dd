//! Drives the session: layers on one side, one agent on the other.

pub(crate) mod start;
