//! Floor 4: the real agent in a pretend pod.
