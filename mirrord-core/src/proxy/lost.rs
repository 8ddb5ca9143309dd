//! What a call fails with when the agent that should have answered is gone.

use mirrord_protocol::{agent::AgentCall, fault::Fault};

const EIO: i32 = 5;
const ENETDOWN: i32 = 100;
const EPIPE: i32 = 32;

/// The fault of a call that will not be answered: what the kernel says when a disk or a network is gone.
#[must_use]
pub fn fault(call: &AgentCall) -> Fault {
    let errno = match call {
        AgentCall::Fs(_) | AgentCall::Close(_) => EIO,
        AgentCall::Dns(_) | AgentCall::Socket(_) | AgentCall::UnixSocket(_) => ENETDOWN,
        _ => EPIPE,
    };
    Fault::with_words(errno, "the agent is gone")
}

#[cfg(test)]
mod tests {
    use mirrord_protocol::{agent::fs::FsCall, id::RemoteFd};

    use super::*;

    #[test]
    fn a_file_fails_like_a_disk_and_a_socket_like_a_network() {
        assert_eq!(fault(&AgentCall::Fs(FsCall::StatFile(RemoteFd(1)))).errno, EIO);
        let socket = mirrord_protocol::agent::outgoing::SocketCall { domain: 2, kind: 1, protocol: 0 };
        assert_eq!(fault(&AgentCall::Socket(socket)).errno, ENETDOWN);
    }
}
