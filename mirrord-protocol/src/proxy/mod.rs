//! What a layer and its proxy say: one packet of question, one packet of answer, on a unix `SOCK_SEQPACKET` socket.
//!
//! Each connection asks one question at a time, so an answer needs no number; a layer opens as many connections as
//! threads ask at once. An answer of which [`FromProxy::n_descriptors`] is not 0 has that many descriptors attached
//! (`SCM_RIGHTS`), and a question may have one. A packet is at most [`crate::wire::MAX_PACKET`] bytes.

pub mod direct;
pub mod lineage;
pub mod names;
pub mod sockets;

use serde::{Deserialize, Serialize};

use crate::{
    GuestPath,
    agent::{
        dns::{DnsAnswer, DnsCall},
        fs::{FsAnswer, FsCall},
    },
    fault::Fault,
};

/// What a layer can ask, in wire order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProxy {
    /// The first question of every connection. Answered with [`FromProxy::Welcome`].
    Hello(lineage::Hello),
    /// A kernel object for a file of the target; never [`FsCall::Open`]. Answered with [`FromProxy::Object`].
    Open {
        /// Which file, mapping already applied.
        path: GuestPath,
        /// Its flags.
        flags: i32,
        /// The mode of a created file, the umask already applied.
        mode: u32,
    },
    /// A file call by path. Answered with [`FromProxy::Fs`].
    Fs(FsCall),
    /// What `feature.fs.mapping` makes of a path that matches it. Answered with [`FromProxy::Path`].
    Map(GuestPath),
    /// Names. Answered with [`FromProxy::Dns`].
    Dns(DnsCall),
    /// Sockets. Answered with [`FromProxy::Socket`].
    Socket(sockets::SocketQuestion),
    /// A line for the trace, or for the developer. Answered with [`FromProxy::Done`].
    Note(lineage::Note),
    /// A sign of life of the agent. Answered with [`FromProxy::Done`] when it has come.
    Ping,
    /// A lane to the agent, where descriptors are passed, for what [`direct`] has. Answered with
    /// [`FromProxy::Object`].
    Lane,
}

/// What a proxy answers, in wire order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromProxy {
    /// To [`ToProxy::Hello`]. The rules, and the page of ports ([`sockets::PORT_PAGE`]), ride along as descriptors of
    /// memory, in this order, with the first hello of a process; see [`lineage::Hello::settings`].
    Welcome(lineage::Welcome),
    /// It is done.
    Done,
    /// It failed.
    Failed(Fault),
    /// The object rides along.
    Object,
    /// To [`ToProxy::Fs`].
    Fs(FsAnswer),
    /// To [`ToProxy::Map`].
    Path(GuestPath),
    /// To [`ToProxy::Dns`].
    Dns(DnsAnswer),
    /// To [`ToProxy::Socket`].
    Socket(sockets::SocketAnswer),
}

impl FromProxy {
    /// How many descriptors ride along.
    #[must_use]
    pub fn n_descriptors(&self) -> usize {
        match self {
            Self::Welcome(welcome) if welcome.settings => 2,
            Self::Object => 1,
            Self::Socket(answer) => usize::from(answer.has_descriptor()),
            _ => 0,
        }
    }
}
