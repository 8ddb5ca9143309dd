//! Questions to which the proxy adds nothing where descriptors are passed: who has a lane asks the agent itself.

use crate::{
    agent::{
        AgentAnswer, AgentCall,
        fs::{FsAnswer, FsCall, Want},
        outgoing::SocketCall,
    },
    fault::Fault,
    proxy::{
        FromProxy, ToProxy,
        sockets::{SocketAnswer, SocketQuestion},
    },
};

/// The answer makes no sense.
const EPROTO: i32 = 71;

/// The call that a question is, if it is one.
#[must_use]
pub fn call(question: &ToProxy) -> Option<AgentCall> {
    Some(match question {
        ToProxy::Open { path, flags, mode } => {
            let (path, flags, mode) = (path.clone(), *flags, *mode);
            AgentCall::Fs(FsCall::Open { path, flags, mode, want: Want::Descriptor })
        }
        ToProxy::Fs(call) => AgentCall::Fs(call.clone()),
        ToProxy::Socket(SocketQuestion::Make { domain, kind, protocol }) => {
            AgentCall::Socket(SocketCall { domain: *domain, kind: *kind, protocol: *protocol })
        }
        _ => return None,
    })
}

/// What the proxy would have answered.
#[must_use]
pub fn answer(outcome: Result<AgentAnswer, Fault>) -> FromProxy {
    match outcome {
        Ok(AgentAnswer::Fs(FsAnswer::Descriptor)) => FromProxy::Object,
        Ok(AgentAnswer::Fs(answer)) => FromProxy::Fs(answer),
        Ok(AgentAnswer::Done) => FromProxy::Socket(SocketAnswer::Made),
        Ok(_) => FromProxy::Failed(Fault::with_words(EPROTO, "the agent answered another question")),
        Err(fault) => FromProxy::Failed(fault),
    }
}
