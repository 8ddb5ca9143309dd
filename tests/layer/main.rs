//! Floor 2: the real layer in a real guest, against a scripted proxy.
