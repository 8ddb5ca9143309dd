//! What a proxy and an agent say: how a lane begins, and the two envelopes of the control lane.
//!
//! A *lane* is one connection to the agent: on this machine a unix stream socket. Its first frame is a [`LaneOpen`].
//! The control lane then carries frames: [`ToAgent`] one way, [`FromAgent`] the other. Every other lane carries one
//! frame of answer, and then the bytes of one stream, cut into [`crate::chunk`]s (datagrams: frames of
//! [`outgoing::Datagram`]; calls: frames of the same two envelopes).
//!
//! Where the agent stands on the same machine, descriptors ride along: a frame whose envelope says that it carries a
//! descriptor has it attached (`SCM_RIGHTS`) to its first byte, and descriptors arrive in the order of their frames.

pub mod control;
pub mod dns;
pub mod env;
pub mod fs;
pub mod incoming;
pub mod outgoing;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    id::{ArrivalId, RemoteFd, RequestId},
    version::Version,
};

/// The first frame of a lane, from the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaneOpen {
    /// The lane of control: answered with [`Welcome`]. One for each session; its end is the session's end.
    Control(Hello),
    /// A stream that begins where the target stands: answered with `Result<outgoing::Connected, Fault>`.
    Connect(LaneKey, outgoing::ConnectCall),
    /// A UDP socket where the target stands: answered with `Result<outgoing::Connected, Fault>`.
    Datagrams(LaneKey, outgoing::DatagramCall),
    /// The bytes of a connection that arrived: answered with `Result<(), Fault>`.
    /// A stolen one goes both ways, a mirrored one only comes.
    Arrival(LaneKey, ArrivalId),
    /// Calls of one guest's thread, which come from itself: answered with `Result<(), Fault>`. Then it carries
    /// frames as the control lane does, one call at a time: [`AgentCall::Fs`] by path and [`AgentCall::Socket`].
    Calls(LaneKey),
}

/// Who opens the control lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The newest version that the proxy speaks.
    pub version: Version,
    /// Who the session's owner is, in words, for others who want the same port.
    pub owner: String,
}

/// The agent's answer to [`LaneOpen::Control`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    /// The version that both speak from now on, and the key that the session's other lanes show.
    Settled(Version, LaneKey),
    /// The agent cannot talk to this proxy, in words.
    Refused(String),
}

/// What proves that a lane belongs to a session: random, never logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LaneKey(pub [u8; 16]);

impl std::fmt::Debug for LaneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaneKey(..)")
    }
}

/// A frame of the control lane, proxy to agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToAgent {
    /// Comes back with the answer.
    pub id: RequestId,
    /// What is to be done.
    pub call: AgentCall,
    /// Whether a descriptor rides along.
    pub descriptor: bool,
}

/// What a proxy can ask of an agent, in wire order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentCall {
    /// Answered at once with [`AgentAnswer::Done`].
    Ping,
    /// The target in a few words.
    Describe,
    /// The target's environment.
    Environment(env::EnvironmentCall),
    /// Files.
    Fs(fs::FsCall),
    /// Names.
    Dns(dns::DnsCall),
    /// A socket of the target's network namespace, unconnected; its descriptor rides along with the answer.
    Socket(outgoing::SocketCall),
    /// A connected unix stream; its descriptor rides along with the answer.
    UnixSocket(outgoing::UnixCall),
    /// From now on, connections to a port of the target arrive here.
    Subscribe(incoming::SubscribeCall),
    /// No longer.
    Unsubscribe(incoming::Port),
    /// Nobody here takes this arrival, and nothing was read from it: the target gets it. A passed one may ride along.
    Return(ArrivalId),
    /// Forget a file.
    Close(RemoteFd),
    /// From which address the target would send to this one; answered with [`AgentAnswer::Route`] or the network's word.
    Route(SocketAddr),
    /// A guest takes this passed arrival now: until it was said, the target gets it if the proxy dies.
    Accepted(ArrivalId),
    /// A guest's unix socket, which rides along, gets a path there; answered with [`AgentAnswer::Done`].
    BindUnix(outgoing::BindCall),
}

/// A frame of the control lane, agent to proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// What came of a call; `descriptor` says whether one rides along.
    Answer {
        /// The call's number.
        id: RequestId,
        /// Its outcome.
        outcome: Result<AgentAnswer, Fault>,
        /// Whether a descriptor rides along.
        descriptor: bool,
    },
    /// Somebody has connected to a subscribed port; a passed connection rides along.
    Arrival(incoming::Arrival),
    /// Words for the developer or for us.
    Log(control::LogLine),
    /// The agent goes, and why.
    Farewell(control::Farewell),
}

/// What an agent can answer, in wire order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentAnswer {
    /// It is done, and there is nothing to tell.
    Done,
    /// To [`AgentCall::Describe`].
    Target(control::TargetDescription),
    /// To [`AgentCall::Environment`].
    Environment(env::Environment),
    /// To [`AgentCall::Fs`].
    Fs(fs::FsAnswer),
    /// To [`AgentCall::Dns`].
    Dns(dns::DnsAnswer),
    /// To [`AgentCall::Route`].
    Route(IpAddr),
}
