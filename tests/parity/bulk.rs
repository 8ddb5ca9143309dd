//! A gigabyte each way, and every byte looked at.
