//! Stories of two ends.
