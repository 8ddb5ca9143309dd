//! What a call fails with when the agent that should have answered is gone.

use std::time::Duration;

use mirrord_protocol::{
    agent::{AgentCall, fs::FsCall},
    fault::Fault,
};

const EIO: i32 = 5;
const ENETDOWN: i32 = 100;
const EPIPE: i32 = 32;

// As Linux numbers them on every machine that is served.
const O_CREAT: i32 = 0o100;
const O_TRUNC: i32 = 0o1000;
const O_TMPFILE: i32 = 0o20_000_000;

/// The fault of a call that will not be answered: what the kernel says when a disk or a network is gone.
#[must_use]
pub fn fault(call: &AgentCall) -> Fault {
    let errno = match call {
        AgentCall::Fs(_) | AgentCall::Close(_) => EIO,
        AgentCall::Dns(_)
        | AgentCall::Socket(_)
        | AgentCall::UnixSocket(_)
        | AgentCall::BindUnix(_)
        | AgentCall::Route(_) => ENETDOWN,
        _ => EPIPE,
    };
    Fault::with_words(errno, "the agent is gone")
}

/// How long an answer is waited for, of an agent that seems to live: it may be stopped, or a file system there hang.
/// Resolvers have their own limits, which are theirs to keep.
#[must_use]
pub fn patience(call: &AgentCall) -> Duration {
    Duration::from_secs(if matches!(call, AgentCall::Dns(_)) { 180 } else { 60 })
}

/// Whether a call changes nothing, so that it may be asked again of another agent.
#[must_use]
pub fn may_repeat(call: &AgentCall) -> bool {
    match call {
        AgentCall::Ping
        | AgentCall::Describe
        | AgentCall::Environment(_)
        | AgentCall::Dns(_)
        | AgentCall::Route(_) => true,
        AgentCall::Fs(call) => match call {
            FsCall::Open { flags, .. } => flags & (O_CREAT | O_TRUNC | O_TMPFILE) == 0,
            FsCall::Stat { .. }
            | FsCall::ReadLink(_)
            | FsCall::Canonicalize(_)
            | FsCall::Access { .. }
            | FsCall::StatFs(_)
            | FsCall::GetAttribute { .. }
            | FsCall::ListAttributes { .. }
            | FsCall::ReadAt { .. }
            | FsCall::StatFile(_)
            | FsCall::List { .. } => true,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use mirrord_protocol::{GuestPath, agent::fs::Want, id::RemoteFd};

    use super::*;

    #[test]
    fn what_changes_something_is_not_asked_again() {
        let path = || GuestPath::from("/x");
        let open =
            |flags| AgentCall::Fs(FsCall::Open { path: path(), flags, mode: 0, want: Want::Handle(0) });
        assert!(
            may_repeat(&open(0)) && may_repeat(&AgentCall::Fs(FsCall::Stat { path: path(), follow: true }))
        );
        assert!(!may_repeat(&open(O_CREAT)) && !may_repeat(&open(O_TRUNC | 1)));
        assert!(!may_repeat(&AgentCall::Fs(FsCall::Unlink(path()))));
    }

    #[test]
    fn a_file_fails_like_a_disk_and_a_socket_like_a_network() {
        assert_eq!(fault(&AgentCall::Fs(FsCall::StatFile(RemoteFd(1)))).errno, EIO);
        let socket = mirrord_protocol::agent::outgoing::SocketCall { domain: 2, kind: 1, protocol: 0 };
        assert_eq!(fault(&AgentCall::Socket(socket)).errno, ENETDOWN);
    }
}
