//! A byte stream to the agent through the API server.
