//! The guest's process, as its calls on sockets need it.

use std::{
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
};

use mirrord_config::handoff::DataPath;
use mirrord_core::{rules::Rules, verdict::Errno};
use mirrord_guest::{Outcome, World, servers, socket::Socket, world::Answered};
use mirrord_protocol::proxy::{
    FromProxy, ToProxy,
    sockets::{SocketAnswer, SocketQuestion},
};

use super::install;
use crate::supervisor::{
    caller::{Caller, settle},
    link::{LinkError, Reply},
};

/// A socket call when the proxy is gone: as if the guest's network were.
const LOST: Errno = Errno(libc::ENETDOWN);

impl World for Caller<'_> {
    fn rules(&self) -> &Rules {
        &self.program.rules
    }

    fn has_target(&self) -> bool {
        self.supervisor.facts.has_target
    }

    fn passes_sockets(&self) -> bool {
        self.supervisor.sockets.passes
    }

    fn relays_sockets(&self) -> bool {
        self.supervisor.sockets.relays
    }

    fn is_passed(&self) -> bool {
        self.supervisor.facts.data_path == DataPath::Passed
    }

    fn netns_there(&self) -> u64 {
        self.supervisor.facts.netns_cookie
    }

    fn is_debugger_port(&self, port: u16) -> bool {
        self.supervisor.facts.debugger_ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    fn is_our_port(&self, port: u16) -> bool {
        self.supervisor.is_our_port(port)
    }

    fn record_server(&self, port: u16) {
        self.supervisor.sockets.record_server(port);
    }

    fn is_server(&self, at: SocketAddr) -> bool {
        let sockets = &self.supervisor.sockets;
        if !sockets.may_be_server(at.port()) {
            return false;
        }
        let is_bound = servers::is_bound(at);
        if !is_bound {
            sockets.forget_server(at.port());
        }
        is_bound
    }

    fn ask(&self, question: SocketQuestion) -> Answered {
        if let SocketQuestion::Make { domain, kind, protocol } = question
            && let Some(made) = self.supervisor.sockets.stock.take((domain, kind, protocol))
        {
            return Ok((SocketAnswer::Made, Some(made)));
        }
        answered(Caller::ask(self, &ToProxy::Socket(question)))
    }

    fn ask_with(&self, question: SocketQuestion, descriptor: BorrowedFd<'_>) -> Answered {
        answered(Caller::ask_with(self, &ToProxy::Socket(question), descriptor))
    }

    fn ask_patiently(&self, question: SocketQuestion) -> Answered {
        let answered = answered(Caller::ask_patiently(self, &ToProxy::Socket(question)));
        if answered.is_err() && !self.waits() { Err(Errno(libc::EINTR)) } else { answered }
    }

    fn install(&self, socket: Socket, fresh: &OwnedFd) -> Outcome<()> {
        install::install(self, socket, fresh)
    }

    fn warn(&self, text: &dyn Fn() -> String) {
        Caller::warn(self, text());
    }
}

fn answered(reply: Result<Reply, LinkError>) -> Answered {
    match settle(reply, LOST)? {
        (FromProxy::Socket(answer), mut descriptors) => Ok((answer, descriptors.pop())),
        (FromProxy::Done, _) => Ok((SocketAnswer::Done, None)),
        _ => Err(LOST),
    }
}
