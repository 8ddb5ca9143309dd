//! Traffic for the guest.
