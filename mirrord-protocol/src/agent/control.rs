//! What keeps a session together: the target in a few words, log lines, the farewell.

use serde::{Deserialize, Serialize};

/// The target as the agent found it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetDescription {
    /// Its host name, as `gethostname(2)` tells it there.
    pub hostname: String,
    /// Its NIS domain name (`uname(2)`).
    pub domain: String,
    /// Its main process, as the agent numbers processes; none for a bare network namespace or no target.
    pub pid: Option<i32>,
    /// Its addresses, loopback left out.
    pub addresses: Vec<std::net::IpAddr>,
    /// Its cookie of the network namespace (`SO_NETNS_COOKIE`), by which a passed socket is known; 0 if the kernel
    /// has none.
    pub netns_cookie: u64,
}

/// How serious a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Something failed that the developer asked for.
    Error,
    /// Something is not as the developer may think.
    Warn,
    /// Worth knowing.
    Info,
}

/// Words of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How serious.
    pub level: Level,
    /// A lower-case clause.
    pub text: String,
}

/// Why an agent goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Farewell {
    /// The target's main process is gone.
    TargetGone,
    /// The proxy broke the protocol, in words.
    Protocol(String),
    /// Something failed without which no session can go on, in words.
    Failed(String),
    /// Somebody ends the agent while its target lives: its pod is deleted or evicted. Since version 1.1.
    Evicted,
}
