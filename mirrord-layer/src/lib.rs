//! The map of the companion, told in reading order.
