//! Names that a layer carries between programs: variables of the environment.

/// Where the proxy listens: the path of its unix socket. Its presence makes a process a guest.
pub const PROXY_ADDRESS: &str = "MIRRORD_LAYER_INTPROXY_ADDR";

/// Present in a guest that must load nothing.
pub const DONT_LOAD: &str = "MIRRORD_DONT_LOAD";

/// The id of the session, for people.
pub const SESSION_ID: &str = "MIRRORD_SESSION_ID";
