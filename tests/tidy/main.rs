//! Floor 0: the house rules.
