//! This process, as its calls on sockets need it.

use std::{
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
};

use libc::c_int;
use mirrord_core::{rules::Rules, verdict::Errno};
use mirrord_guest::{World, world::Answered};
use mirrord_protocol::proxy::{
    FromProxy, ToProxy,
    lineage::Note,
    sockets::{SocketAnswer, SocketQuestion},
};

use super::{epoll, servers};
use crate::{
    abi::socket::Socket,
    answer::{self, Outcome},
    engine,
    link::{self, LinkError, Reply},
    process::Process,
};

impl World for Process {
    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn has_target(&self) -> bool {
        self.facts.has_target
    }

    fn passes_sockets(&self) -> bool {
        Self::passes_sockets(self)
    }

    fn relays_sockets(&self) -> bool {
        Self::relays_sockets(self)
    }

    fn is_passed(&self) -> bool {
        Self::is_passed(self)
    }

    fn netns_there(&self) -> u64 {
        self.facts.netns_cookie
    }

    fn is_debugger_port(&self, port: u16) -> bool {
        Self::is_debugger_port(self, port)
    }

    fn is_our_port(&self, port: u16) -> bool {
        Self::is_our_port(self, port)
    }

    fn record_server(&self, port: u16) {
        servers::record(port);
    }

    fn is_server(&self, at: SocketAddr) -> bool {
        servers::answers(at)
    }

    fn ask(&self, question: SocketQuestion) -> Answered {
        engine::work(|| settle(link::ask(&ToProxy::Socket(question))))
    }

    fn ask_with(&self, question: SocketQuestion, descriptor: BorrowedFd<'_>) -> Answered {
        engine::work(|| settle(link::ask_with(&ToProxy::Socket(question), descriptor)))
    }

    fn ask_patiently(&self, question: SocketQuestion) -> Answered {
        engine::work(|| match link::ask_until_signal(&ToProxy::Socket(question)).transpose() {
            Some(reply) => settle(reply),
            None => Err(Errno(libc::EINTR)),
        })
    }

    fn install(&self, socket: Socket, fresh: &OwnedFd) -> Outcome<()> {
        let numbers = epoll::Numbers::of(socket);
        numbers.withdraw();
        let mut outcome = Ok(());
        for number in numbers.all() {
            let flags: Outcome<c_int> = number.control(libc::F_GETFD, 0);
            let close_on_exec = flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC != 0);
            let replaced = number.replace(fresh, close_on_exec);
            if number == socket {
                outcome = replaced;
            }
        }
        numbers.register();
        outcome
    }

    fn warn(&self, text: &dyn Fn() -> String) {
        engine::work(|| drop(link::ask(&ToProxy::Note(Note::Warning(text())))));
    }
}

/// What an answer means to a call on a socket.
fn settle(reply: Result<Reply, LinkError>) -> Answered {
    let mut reply = reply.map_err(answer::lost_socket)?;
    let descriptor = reply.take_descriptor();
    match reply.answer {
        FromProxy::Socket(answer) => Ok((answer, descriptor)),
        FromProxy::Failed(fault) => Err(answer::from_fault(&fault)),
        FromProxy::Done => Ok((SocketAnswer::Done, None)),
        _ => Err(Errno(libc::ENETDOWN)),
    }
}
