//! The ready pods of a target, as they come and go.
