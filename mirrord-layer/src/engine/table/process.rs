//! The rows of processes: how a guest's children stay guests.
