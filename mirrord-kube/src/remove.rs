//! Agents are removed, so that nothing stays behind.
