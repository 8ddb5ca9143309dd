//! Whose calls they are: what the session may do, and how it is asked.

use std::{
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
};

use mirrord_core::{
    addr,
    rules::{
        Rules,
        address::{Protocol, Side},
        outgoing::Through,
    },
    verdict::{Errno, Verdict},
};
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};

use crate::{Outcome, socket::Socket};

/// An answer, and the descriptor that rode along.
pub type Answered = Outcome<(SocketAnswer, Option<OwnedFd>)>;

/// A guest's process, as its calls on sockets need it.
pub trait World {
    /// What the session may do.
    fn rules(&self) -> &Rules;

    /// Whether there is a target at all.
    fn has_target(&self) -> bool;

    /// Whether sockets that live there are told from ours by their network namespace, and made there.
    fn passes_sockets(&self) -> bool;

    /// Whether streams and datagrams are relayed by the proxy.
    fn relays_sockets(&self) -> bool;

    /// Whether descriptors are passed in this session, wherever its sockets live.
    fn is_passed(&self) -> bool;

    /// Whether queries for names are relayed although sockets are passed: the proxy keeps the filter of names.
    fn relays_queries(&self) -> bool {
        self.is_passed() && self.has_target() && self.rules().dns.has_filter()
    }

    /// Whether any socket may be relayed.
    fn may_relay(&self) -> bool {
        self.relays_sockets() || self.relays_queries()
    }

    /// Whether what goes to a destination there is relayed.
    fn relays_to(&self, to: SocketAddr) -> bool {
        self.relays_sockets() || (to.port() == DNS && self.relays_queries())
    }

    /// The cookie of the target's network namespace.
    fn netns_there(&self) -> u64;

    /// Whether a port is a debugger's, on this machine's loopback.
    fn is_debugger_port(&self, port: u16) -> bool;

    /// Whether the session listens on a TCP port here.
    fn is_our_port(&self, port: u16) -> bool;

    /// Notes that the guest answers datagrams on a port here.
    fn record_server(&self, port: u16);

    /// Whether somebody of ours answers datagrams there.
    fn is_server(&self, at: SocketAddr) -> bool;

    /// Asks the proxy, and waits for the answer a bounded time.
    ///
    /// # Errors
    /// What the guest is to see if it fails.
    fn ask(&self, question: SocketQuestion) -> Answered;

    /// Asks with a descriptor that rides along.
    ///
    /// # Errors
    /// As of [`Self::ask`].
    fn ask_with(&self, question: SocketQuestion, descriptor: BorrowedFd<'_>) -> Answered;

    /// Asks what only the network can answer, and waits for it.
    ///
    /// # Errors
    /// As of [`Self::ask`].
    fn ask_patiently(&self, question: SocketQuestion) -> Answered;

    /// Puts a socket behind every number of another one, the caller's among them, and into every set of `epoll(7)`
    /// that has those.
    ///
    /// # Errors
    /// When the number of the call could not be replaced.
    fn install(&self, socket: Socket, fresh: &OwnedFd) -> Outcome<()>;

    /// Tells the developer something, once for each text.
    fn warn(&self, text: &dyn Fn() -> String);
}

/// The port of name servers: a query goes there, however its socket came to be.
pub(crate) const DNS: u16 = 53;

/// Whether a socket lives in the target's network namespace.
pub fn lives_there(world: &impl World, socket: Socket) -> bool {
    world.passes_sockets() && socket.netns_cookie() == Some(world.netns_there())
}

/// Where a destination is reached, host names of the filter included.
///
/// # Errors
/// When the destination is refused, or the proxy cannot be asked.
pub fn side_of(world: &impl World, protocol: Protocol, to: SocketAddr) -> Outcome<Side> {
    let to = addr::plain(to);
    if to.port() == DNS && !world.rules().dns.enabled {
        return Ok(Side::Here);
    }
    if addr::is_loopback(to.ip()) {
        let is_ours = protocol == Protocol::Udp && world.is_server(to);
        if is_ours || world.is_debugger_port(to.port()) {
            return Ok(Side::Here);
        }
    }
    match world.rules().outgoing.decide(protocol, to, |port| world.is_our_port(port)) {
        Verdict::Leave(_) => Ok(Side::Here),
        Verdict::Refuse(errno) => Err(errno),
        Verdict::Take(Through::Target) => Ok(Side::There),
        Verdict::Take(Through::AskNames) => {
            match world.ask(SocketQuestion::Judge { datagram: protocol == Protocol::Udp, to })? {
                (SocketAnswer::Judged { there: false }, _) => Ok(Side::Here),
                _ => Ok(Side::There),
            }
        }
    }
}

/// What stands for an answer that no question of ours has.
pub(crate) const NONSENSE: Errno = Errno(libc::ENETDOWN);
