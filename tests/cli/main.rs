//! Floor 5: every word on the screen.
