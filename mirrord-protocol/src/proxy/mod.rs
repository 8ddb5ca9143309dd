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
use serde_bytes::ByteBuf;

use crate::{
    GuestPath,
    agent::{
        dns::{DnsAnswer, DnsCall},
        fs::{FileStat, FsAnswer, FsCall},
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
    /// Attributes of a file, as [`FsCall::Stat`], and of the names behind it in its folder's listing, as far as they are
    /// known. Answered with [`FromProxy::Looked`].
    Look {
        /// Which file.
        path: GuestPath,
        /// Whether a final symbolic link is followed.
        follow: bool,
        /// How many other names at most.
        n_more: u16,
    },
}

/// Attributes, and for how long they are to be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Of the file.
    pub stat: FileStat,
    /// For how long all of them may be believed, as long as the session changes nothing; 0 if not at all.
    pub milliseconds: u32,
    /// The count of the session's changes ([`sockets::CHANGES`]) for which they are true.
    pub n_changes: u64,
    /// Other names of its folder, and what `lstat(2)` tells of them.
    pub more: Vec<(ByteBuf, FileStat)>,
}

impl Looked {
    /// Tells of each file that is to be believed: its folder, which ends with a slash, its name and its attributes.
    pub fn each(&self, path: &GuestPath, mut tell: impl FnMut(&[u8], &[u8], &FileStat)) {
        let Some(slash) = path.as_bytes().iter().rposition(|byte| *byte == b'/') else { return };
        let (folder, name) = path.as_bytes().split_at(slash + 1);
        if self.milliseconds > 0 {
            tell(folder, name, &self.stat);
            self.more.iter().for_each(|(name, stat)| tell(folder, name, stat));
        }
    }
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
    /// To [`ToProxy::Look`].
    Looked(Looked),
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
