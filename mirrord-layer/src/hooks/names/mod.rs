//! Calls that take a name.
