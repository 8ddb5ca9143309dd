//! How the command and its proxy part: one order, progress, one reply.
//!
//! The command starts `mirrord intproxy` with one end of a unix stream socket pair as its standard input, writes one
//! frame of [`Order`], and reads frames of [`Report`] until one of them is the last. The proxy then detaches from it:
//! it has left the command's session and process group, and is nobody's child but init's.
//! Where the command does not become the guest, the proxy keeps the socket: warnings still come, and its end is the
//! session's.

use std::{net::SocketAddr, path::PathBuf};

use mirrord_config::handoff::DataPath;
use mirrord_core::{
    cluster::{AgentOptions, ClusterOptions},
    rules::Rules,
    target::Target,
};
use serde::{Deserialize, Serialize};

/// Everything that a proxy must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The id of the session, in lower-case hexadecimal; the layer's socket is named after it.
    pub(crate) session_id: String,
    /// Who starts the session, in words, for others who want the same port.
    pub(crate) owner: String,
    /// The process that becomes the guest; none if somebody else starts it, and the command waits for its end.
    pub(crate) guest_pid: Option<i32>,
    /// The command's standard error; none if it is not to be written to.
    pub(crate) screen: Option<StandardError>,
    /// Where the agent steps in.
    pub(crate) place: Place,
    /// The agent's program.
    pub(crate) agent: PathBuf,
    /// What the session may do.
    pub(crate) rules: Rules,
    /// `feature.fs.mapping`, for the part of it that the layer cannot do.
    pub(crate) mapping: Vec<(String, String)>,
    /// Which of the target's variables to fetch; none if the environment stays.
    pub(crate) environment: Option<mirrord_protocol::agent::env::EnvironmentCall>,
    /// How descriptors reach the guest.
    pub(crate) data_path: DataPath,
    /// Whether a layer hands what it cannot enter over to a supervisor.
    pub(crate) hands_over: bool,
    /// `supervisor.io_uring`: whether supervised guests may make rings.
    pub(crate) allows_rings: bool,
    /// The working directory in which the session was started.
    pub(crate) start_dir: PathBuf,
    /// Debuggers' ports (`MIRRORD_IGNORE_DEBUGGER_PORTS`).
    pub(crate) debugger_ports: Vec<(u16, u16)>,
    /// `internal_proxy.start_idle_timeout`, in seconds.
    pub(crate) start_idle_timeout: u64,
    /// `internal_proxy.idle_timeout`, in seconds.
    pub(crate) idle_timeout: u64,
    /// `internal_proxy.log_destination`, if the user wants a log.
    pub(crate) log: Option<PathBuf>,
    /// `internal_proxy.log_level`.
    pub(crate) log_level: String,
    /// `internal_proxy.json_log`.
    pub(crate) json_log: bool,
    /// `agent.log_level`.
    pub(crate) agent_log_level: String,
    /// What those are told who ask for the session; none if `api` is off.
    pub(crate) card: Option<Card>,
}

/// What is known of a session before it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Card {
    /// The session's key.
    pub(crate) key: String,
    /// Its target.
    pub(crate) target: String,
    /// The target's namespace, where the user names it.
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig, where the user names it.
    pub(crate) context: Option<String>,
    /// What the configuration says that would not be so without it, as JSON.
    pub(crate) config: String,
}

/// By what a standard error is known again (`stat(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StandardError {
    /// `st_dev`.
    pub(crate) device: u64,
    /// `st_ino`.
    pub(crate) inode: u64,
    /// `st_rdev`.
    pub(crate) special: u64,
}

/// Where the agent steps in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Beside a process: its network namespace, its root, its environment.
    Process(i32),
    /// Into a network namespace that has a name (`ip-netns(8)`): the file that stands for it, and the name.
    Network {
        /// The file.
        file: PathBuf,
        /// The name, by which `/etc/netns/NAME` is found.
        name: String,
    },
    /// Nowhere: the agent stands where the command stands.
    Here,
    /// Into a pod of a cluster, or beside none.
    Cluster(Box<ClusterPlace>),
    /// An agent stands already, and listens (`mirrord-agent --listen`): for those who make agents themselves.
    Address(AddressPlace),
}

/// What the proxy must know to make an agent in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterPlace {
    /// How the cluster is reached.
    pub(crate) cluster: ClusterOptions,
    /// How the agent is made.
    pub(crate) agent: AgentOptions,
    /// Whose place the guest takes: of a kind of Kubernetes, or nobody's.
    pub(crate) target: Target,
    /// `internal_proxy.ping_interval`, in seconds.
    pub(crate) ping_interval: u64,
}

/// An agent that listens somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressPlace {
    /// Where.
    pub(crate) address: SocketAddr,
    /// How long it waits for us once the connection is cut, in seconds.
    pub(crate) communication_timeout: u32,
    /// How long another one may take to be there once it is gone, in seconds.
    pub(crate) startup_timeout: u64,
    /// Seconds between two signs of life.
    pub(crate) ping_interval: u64,
}

/// What a proxy tells its command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// What is done now; more follows.
    Progress(String),
    /// Something that the developer should read; more follows.
    Warning(String),
    /// The session stands: the last report.
    Ready(Ready),
    /// It does not: the last report.
    Failed(Failure),
}

/// A session that stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// What the guest finds in [`mirrord_protocol::proxy::names::PROXY_ADDRESS`].
    pub(crate) address: String,
    /// The target's variables that were asked for.
    pub(crate) environment: mirrord_protocol::agent::env::Environment,
    /// The target's host name.
    pub(crate) hostname: String,
    /// The ports that the target says it has.
    pub(crate) ports: Vec<u16>,
}

/// A session that could not be made, as `error:`, `cause:` and `hint:` show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What could not be done.
    pub(crate) what: String,
    /// Why, from the outside in.
    pub(crate) causes: Vec<String>,
    /// What the developer can do.
    pub(crate) hint: Option<String>,
}
