//! Files as the target sees them, never outside its root.

mod attributes;
mod change;
mod files;
mod open;
mod root;
mod stat;

use std::os::fd::OwnedFd;

use mirrord_protocol::{
    agent::fs::{FsAnswer, FsCall},
    fault::Fault,
};
use rustix::io::Errno;
use serde_bytes::ByteBuf;

pub(crate) use self::{
    files::Files,
    root::{Root, name},
};

/// What came of a file call, with the descriptor that rides along.
pub(crate) type Outcome = Result<(FsAnswer, Option<OwnedFd>), Fault>;

/// Does a file call; it may block, and must run on one of the [`crate::hands`].
///
/// # Errors
/// The kernel's, as the target would see it.
pub(crate) fn perform(root: &Root, files: &Files, call: &FsCall) -> Outcome {
    if let FsCall::Open { path, flags, mode, want } = call {
        return open::open(root, files, path, *flags, *mode, *want);
    }
    let answer = match call {
        FsCall::Open { .. } => return Err(Fault::os(libc::EINVAL)),
        FsCall::Stat { .. }
        | FsCall::ReadLink(_)
        | FsCall::Canonicalize(_)
        | FsCall::Access { .. }
        | FsCall::StatFs(_) => stat::look(root, call),
        FsCall::GetAttribute { .. }
        | FsCall::ListAttributes { .. }
        | FsCall::SetAttribute { .. }
        | FsCall::RemoveAttribute { .. } => attributes::attribute(root, call),
        FsCall::ReadAt { .. }
        | FsCall::WriteAt { .. }
        | FsCall::StatFile(_)
        | FsCall::TruncateFile { .. }
        | FsCall::Sync { .. }
        | FsCall::List { .. } => files.perform(call),
        _ => change::change(root, call).map(|()| FsAnswer::Done),
    };
    answer.map(|answer| (answer, None)).map_err(fault)
}

/// The fault that an errno is.
pub(crate) fn fault(errno: Errno) -> Fault {
    Fault::os(errno.raw_os_error())
}

fn bytes(bytes: impl Into<Vec<u8>>) -> FsAnswer {
    FsAnswer::Bytes(ByteBuf::from(bytes.into()))
}
