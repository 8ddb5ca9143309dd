//! Calls that take an address.
