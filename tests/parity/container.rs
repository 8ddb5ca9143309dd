//! A real container as the target.
