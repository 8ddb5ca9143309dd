//! The agent as a Job or an ephemeral container.
