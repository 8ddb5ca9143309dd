//! The rows of sockets: calls that take an address.
