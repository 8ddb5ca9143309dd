//! Calls that change files.
