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
    do_call(root, files, call).map_err(|fault| scarce(call, fault))
}

/// It is we who have no descriptors left, and not the guest: what a kernel says that has nothing left itself. Only an
/// open needs one in the eyes of a guest.
fn scarce(call: &FsCall, fault: Fault) -> Fault {
    let errno = match (fault.errno, call) {
        (libc::EMFILE | libc::ENFILE, FsCall::Open { .. }) => libc::ENFILE,
        (libc::EMFILE | libc::ENFILE, _) => libc::ENOMEM,
        _ => return fault,
    };
    Fault::with_words(errno, "the agent has no descriptors left")
}

fn do_call(root: &Root, files: &Files, call: &FsCall) -> Outcome {
    if let FsCall::Open { path, flags, mode, want } = call {
        return open::open(root, files, path, *flags, *mode, *want);
    }
    let answer = match call {
        FsCall::Open { .. } => return Err(Fault::os(libc::EINVAL)),
        FsCall::Stat { .. }
        | FsCall::StatNames { .. }
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

#[cfg(test)]
mod tests {
    use mirrord_protocol::{GuestPath, agent::fs::Want};

    use super::*;

    #[test]
    fn without_a_descriptor_of_ours_a_call_says_what_its_kernel_could() {
        let path = || GuestPath::from("/x");
        let stat = FsCall::Stat { path: path(), follow: true };
        let open = FsCall::Open { path: path(), flags: 0, mode: 0, want: Want::Descriptor };
        let told = |call, errno| scarce(call, Fault::os(errno)).errno;
        assert_eq!([told(&open, libc::EMFILE), told(&stat, libc::EMFILE)], [libc::ENFILE, libc::ENOMEM]);
        assert_eq!([told(&open, libc::ENOENT), told(&stat, libc::ENOENT)], [libc::ENOENT; 2]);
    }
}
