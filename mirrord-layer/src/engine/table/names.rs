//! The rows of names: hosts, services and the host's own.
