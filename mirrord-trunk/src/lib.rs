//! Carries the lanes of a session over connections that may break, and over new ones after that.
