//! Calls that take an address.
//!
//! There is no table of sockets. Where one lives the kernel tells ([`Process::passes_sockets`]), and what it cannot
//! tell of a relayed one the proxy does, by inode: so `dup`, `fork`, `exec` and `SCM_RIGHTS` need nothing of ours.

pub(crate) mod accept;
pub(crate) mod bind;
pub(crate) mod connect;
pub(crate) mod datagram;
pub(crate) mod listen;
pub(crate) mod name;
pub(crate) mod relay;
pub(crate) mod servers;
pub(crate) mod socket;

mod epoll;
mod options;
mod swap;

use std::{net::SocketAddr, os::fd::OwnedFd};

use mirrord_core::{
    addr,
    rules::{
        address::{Protocol, Side},
        outgoing::Through,
    },
    verdict::{Errno, Verdict},
};
use mirrord_protocol::proxy::{
    FromProxy, ToProxy,
    lineage::Note,
    sockets::{SocketAnswer, SocketQuestion},
};

use crate::{
    abi::socket::Socket,
    answer::{self, Outcome},
    engine,
    link::{self, LinkError, Reply},
    process::Process,
};

/// Whether a socket lives in the target's network namespace.
fn lives_there(process: &Process, socket: Socket) -> bool {
    process.passes_sockets() && socket.netns_cookie() == Some(process.facts.netns_cookie)
}

/// Where a destination is reached, host names of the filter included.
fn side_of(process: &Process, protocol: Protocol, to: SocketAddr) -> Outcome<Side> {
    let to = addr::plain(to);
    if addr::is_loopback(to.ip()) {
        let is_ours = protocol == Protocol::Udp && servers::answers(to);
        if is_ours || process.is_debugger_port(to.port()) {
            return Ok(Side::Here);
        }
    }
    match process.rules.outgoing.decide(protocol, to, |port| process.is_our_port(port)) {
        Verdict::Leave(_) => Ok(Side::Here),
        Verdict::Refuse(errno) => Err(errno),
        Verdict::Take(Through::Target) => Ok(Side::There),
        Verdict::Take(Through::AskNames) => {
            match ask(SocketQuestion::Judge { datagram: protocol == Protocol::Udp, to })? {
                (SocketAnswer::Judged { there: false }, _) => Ok(Side::Here),
                _ => Ok(Side::There),
            }
        }
    }
}

/// Asks about a socket.
fn ask(question: SocketQuestion) -> Outcome<(SocketAnswer, Option<OwnedFd>)> {
    engine::work(|| settle(link::ask(&ToProxy::Socket(question))))
}

/// What an answer means to a call on a socket.
fn settle(reply: Result<Reply, LinkError>) -> Outcome<(SocketAnswer, Option<OwnedFd>)> {
    let mut reply = reply.map_err(answer::lost_socket)?;
    let descriptor = reply.take_descriptor();
    match reply.answer {
        FromProxy::Socket(answer) => Ok((answer, descriptor)),
        FromProxy::Failed(fault) => Err(answer::from_fault(&fault)),
        FromProxy::Done => Ok((SocketAnswer::Done, None)),
        _ => Err(Errno(libc::ENETDOWN)),
    }
}

/// Tells the developer something, once for each text.
fn warn(text: impl FnOnce() -> String) {
    engine::work(|| drop(link::ask(&ToProxy::Note(Note::Warning(text())))));
}
