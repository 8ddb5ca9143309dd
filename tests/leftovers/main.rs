//! Floor 4: whoever is killed, nothing of ours remains.
