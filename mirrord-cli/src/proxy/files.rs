//! Files of the target as kernel objects.

use std::os::fd::{AsRawFd, OwnedFd};

use mirrord_config::handoff::DataPath;
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        fs::{FsAnswer, FsCall, Want},
    },
    fault::Fault,
};

use super::agent::Agent;

/// Files.
pub(crate) struct Files {
    agent: Agent,
    data_path: DataPath,
}

impl Files {
    /// Files of an agent's target.
    pub(crate) fn new(agent: Agent, data_path: DataPath) -> Self {
        Self { agent, data_path }
    }

    /// A kernel object for a file.
    pub(crate) async fn open(&self, path: GuestPath, flags: i32, mode: u32) -> Result<OwnedFd, Fault> {
        match self.data_path {
            DataPath::Passed => self.open_passed(path, flags, mode).await,
            DataPath::Proxied => Err(Fault::os(libc::ENOSYS)),
        }
    }

    async fn open_passed(&self, path: GuestPath, flags: i32, mode: u32) -> Result<OwnedFd, Fault> {
        let open = FsCall::Open { path, flags, mode, want: Want::Descriptor };
        match self.agent.call(AgentCall::Fs(open), None).await? {
            (AgentAnswer::Fs(FsAnswer::Descriptor), Some(descriptor)) => Ok(descriptor),
            _ => Err(nonsense()),
        }
    }

    /// A file call by path.
    pub(crate) async fn call(&self, call: FsCall) -> Result<FsAnswer, Fault> {
        match call {
            FsCall::Open { .. }
            | FsCall::ReadAt { .. }
            | FsCall::WriteAt { .. }
            | FsCall::StatFile(_)
            | FsCall::TruncateFile { .. }
            | FsCall::Sync { .. }
            | FsCall::List { .. } => Err(Fault::with_words(libc::EINVAL, "layers have no handles")),
            call => match self.agent.call(AgentCall::Fs(call), None).await? {
                (AgentAnswer::Fs(answer), _) => Ok(answer),
                _ => Err(nonsense()),
            },
        }
    }

    /// What the kernel puts before the target's paths when it tells the path of a descriptor.
    pub(crate) async fn path_prefix(&self) -> Result<Vec<u8>, Fault> {
        let root = self.open(GuestPath::from("/"), libc::O_PATH | libc::O_DIRECTORY, 0).await?;
        let link = format!("/proc/self/fd/{}", root.as_raw_fd());
        let path = std::fs::read_link(link)?.into_os_string().into_encoded_bytes();
        Ok(if path == b"/" { Vec::new() } else { path })
    }
}

/// The fault of an answer to another question than the one that was asked.
pub(crate) fn nonsense() -> Fault {
    Fault::with_words(libc::EPROTO, "the agent answered another question")
}
