//! Changes that take several steps there: attributes, one after the other.

use std::collections::VecDeque;

use fuser::{Errno, TimeOrNow};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        fs::{FileStat, FsAnswer, FsCall, Time},
    },
    id::RemoteFd,
};

use super::attributes::time;
use crate::proxy::agent::Agent;

const UTIME_NOW: u32 = 0x3fff_ffff;
const UTIME_OMIT: u32 = 0x3fff_fffe;

/// What `setattr` wants.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) accessed: Option<TimeOrNow>,
    pub(super) modified: Option<TimeOrNow>,
}

impl Change {
    /// Whether nothing but the size is to be changed, beside the times that follow from it.
    pub(super) fn is_of_size(&self) -> bool {
        let Self { mode, uid, gid, size, accessed, modified } = self;
        size.is_some()
            && mode.is_none()
            && uid.is_none()
            && gid.is_none()
            && accessed.is_none()
            && modified.is_none()
    }

    /// The calls that make it, in the order in which they must be made.
    pub(super) fn calls(self, path: &GuestPath, open: Option<RemoteFd>) -> VecDeque<FsCall> {
        let mut calls = VecDeque::new();
        let path = || path.clone();
        if self.uid.is_some() || self.gid.is_some() {
            let keep = u32::MAX;
            let (uid, gid) = (self.uid.unwrap_or(keep), self.gid.unwrap_or(keep));
            calls.push_back(FsCall::ChangeOwner { path: path(), uid, gid, follow: false });
        }
        if let Some(mode) = self.mode {
            calls.push_back(FsCall::ChangeMode { path: path(), mode: mode & 0o7777, follow: false });
        }
        if let Some(size) = self.size {
            calls.push_back(match open {
                Some(file) => FsCall::TruncateFile { file, size },
                None => FsCall::Truncate { path: path(), size },
            });
        }
        if self.accessed.is_some() || self.modified.is_some() {
            let times = [lower(self.accessed), lower(self.modified)];
            calls.push_back(FsCall::SetTimes { path: path(), times, follow: false });
        }
        calls
    }
}

fn lower(moment: Option<TimeOrNow>) -> Time {
    match moment {
        None => Time { seconds: 0, nanoseconds: UTIME_OMIT },
        Some(TimeOrNow::Now) => Time { seconds: 0, nanoseconds: UTIME_NOW },
        Some(TimeOrNow::SpecificTime(moment)) => time(moment),
    }
}

/// Makes calls one after the other, and tells what the file is like after the last one.
pub(super) fn perform(
    agent: Agent,
    mut calls: VecDeque<FsCall>,
    last: FsCall,
    tell: impl FnOnce(Result<FileStat, Errno>) + Send + 'static,
) {
    let is_last = calls.is_empty();
    let call = calls.pop_front().unwrap_or_else(|| last.clone());
    agent.clone().ask(AgentCall::Fs(call), None, move |outcome| match outcome {
        Ok(_) if !is_last => perform(agent, calls, last, tell),
        Ok((AgentAnswer::Fs(FsAnswer::Stat(stat)), _)) => tell(Ok(stat)),
        Ok(_) => tell(Err(Errno::EIO)),
        Err(fault) => tell(Err(Errno::from_i32(fault.errno))),
    });
}
