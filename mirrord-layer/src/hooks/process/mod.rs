//! Calls that make or replace a process.
