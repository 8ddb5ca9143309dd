//! Calls that take an address: done on our duplicate of the guest's socket, as the layer does them on the socket itself.

mod accept;
mod address;
mod datagram;
mod install;
pub(super) mod kept;
mod stock;
mod world;

use std::{
    collections::HashSet,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use mirrord_config::handoff::{DataPath, Facts};
use mirrord_core::{rules::address::Protocol, verdict::Errno};
use mirrord_guest::{
    World, bind, connect, listen, make,
    name::{self, Whose},
    relay,
    sockaddr::Address,
    socket::{self, Socket},
};
use mirrord_protocol::id::SocketInode;

use super::{
    caller::{Caller, Outcome},
    fs,
    notify::Answer,
};

/// What is known of sockets, of all guests.
#[derive(Debug)]
pub(super) struct Sockets {
    /// A bit for each port on which a guest answers datagrams here: it was bound; whether it still is, the kernel tells.
    servers: Vec<AtomicU8>,
    /// Those whose blocking connect was interrupted: it goes on.
    connecting: Mutex<HashSet<SocketInode>>,
    /// Whether sockets that live there are told from ours by their network namespace.
    passes: bool,
    relays: bool,
    /// Those that we have made, where none can be taken from a guest.
    pub(super) kept: Option<kept::Kept>,
    /// Those that were made there for whoever asks next.
    pub(super) stock: stock::Stock,
}

impl Sockets {
    pub(super) fn new(facts: &Facts, keeps: bool) -> Self {
        let cookie = Socket::make(libc::AF_UNIX, libc::SOCK_DGRAM, 0).ok().and_then(socket::netns_cookie);
        let (cookie, there) = (cookie.unwrap_or(0), facts.netns_cookie);
        let is_passed = facts.data_path == DataPath::Passed;
        Self {
            servers: (0..8192).map(|_| AtomicU8::new(0)).collect(),
            connecting: Mutex::default(),
            passes: is_passed && facts.has_target && there != 0 && there != cookie,
            relays: !is_passed && facts.has_target,
            kept: keeps.then(kept::Kept::default),
            stock: stock::Stock::default(),
        }
    }

    fn record_server(&self, port: u16) {
        self.servers[usize::from(port / 8)].fetch_or(1 << (port % 8), Ordering::Relaxed);
    }

    fn may_be_server(&self, port: u16) -> bool {
        self.servers[usize::from(port / 8)].load(Ordering::Relaxed) & (1 << (port % 8)) != 0
    }

    fn forget_server(&self, port: u16) {
        self.servers[usize::from(port / 8)].fetch_and(!(1 << (port % 8)), Ordering::Relaxed);
    }
}

/// A duplicate of a guest's socket.
struct Held(OwnedFd);

impl Held {
    /// Nothing if the guest has no socket there, which the kernel says better.
    fn of(caller: &Caller<'_>, number: i32) -> Option<Self> {
        let held = Self(caller.duplicate(number)?);
        // What was read by its number is the caller's as long as it waits.
        caller.check().ok()?;
        Some(held)
    }

    fn socket(&self) -> Socket {
        Socket(self.0.as_raw_fd())
    }
}

/// What becomes of a call on a socket; nothing if it is another one, or the kernel's to do.
pub(super) fn decide(caller: &Caller<'_>) -> Option<Answer> {
    if !caller.supervisor.facts.has_target {
        return None;
    }
    match caller.call.number {
        libc::SYS_socket => make(caller),
        libc::SYS_connect => connect(caller),
        libc::SYS_bind => bind(caller),
        libc::SYS_listen => listen(caller),
        libc::SYS_accept => accept::accept(caller, 0),
        libc::SYS_accept4 => accept::accept(caller, caller.int(3)),
        libc::SYS_getsockname => tell(caller, Whose::Own),
        libc::SYS_getpeername => tell(caller, Whose::Peers),
        libc::SYS_getsockopt => error(caller),
        libc::SYS_sendto => datagram::sendto(caller),
        libc::SYS_sendmsg => datagram::sendmsg(caller),
        libc::SYS_sendmmsg => datagram::sendmmsg(caller),
        libc::SYS_recvfrom => datagram::recvfrom(caller),
        libc::SYS_recvmsg => datagram::recvmsg(caller),
        libc::SYS_recvmmsg => datagram::recvmmsg(caller),
        _ => None,
    }
}

/// The answer of a call that only succeeds or fails.
fn status(outcome: Outcome<()>) -> Answer {
    match outcome {
        Ok(()) => Answer::Done(0),
        Err(errno) => Answer::Failed(errno),
    }
}

fn make(caller: &Caller<'_>) -> Option<Answer> {
    let (domain, kind, protocol) = (caller.int(0), caller.int(1), caller.int(2));
    let kept = caller.supervisor.sockets.kept.as_ref();
    let made = make::socket(caller, domain, kind, protocol);
    let made = made.or_else(|| kept.map(|_| Socket::make(domain, kind, protocol)))?;
    Some(match made.and_then(|fresh| kept.map_or(Ok(()), |kept| kept.keep(&fresh)).map(|()| fresh)) {
        Ok(fresh) => Answer::Descriptor(fresh, kind & libc::SOCK_CLOEXEC != 0),
        Err(errno) => Answer::Failed(errno),
    })
}

fn connect(caller: &Caller<'_>) -> Option<Answer> {
    let bytes = address::read(caller, caller.argument(1), caller.unsigned(2))?;
    let address = address::parse(&bytes);
    if matches!(address, Address::Other) {
        return None;
    }
    let held = Held::of(caller, caller.int(0))?;
    let socket = held.socket();
    let connecting =
        || caller.supervisor.sockets.connecting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let is_any = !connecting().is_empty();
    let is_connecting = is_any && connecting().contains(&socket.inode().ok()?);
    if is_connecting && socket.is_nonblocking() {
        // It was interrupted while it still waited, and does not wait any more.
        return Some(Answer::Failed(Errno(libc::EALREADY)));
    }
    let outcome = if is_connecting && connecting().remove(&socket.inode().ok()?) {
        // It was interrupted, and begins anew: the first one is still under way.
        relay::finish(caller, socket)
    } else {
        connect::connect(caller, socket, address)?
    };
    if outcome == Err(Errno(libc::EINTR)) && caller.may_relay() {
        connecting().insert(socket.inode().ok()?);
        return Some(Answer::Interrupted);
    }
    if outcome.is_ok() && socket.transport() == Some(Protocol::Tcp) {
        let_go(caller, socket);
    }
    Some(status(outcome))
}

/// A connection must end when the guest ends it: nobody else may have it.
fn let_go(caller: &Caller<'_>, socket: Socket) {
    if let Some(kept) = &caller.supervisor.sockets.kept {
        kept.let_go(socket);
    }
}

fn bind(caller: &Caller<'_>) -> Option<Answer> {
    let bytes = address::read(caller, caller.argument(1), caller.unsigned(2))?;
    match address::parse(&bytes) {
        Address::Inet(requested) => {
            let held = Held::of(caller, caller.int(0))?;
            bind::bind(caller, held.socket(), requested).map(status)
        }
        Address::Unix(name) => bind_path(caller, name),
        Address::Other => None,
    }
}

/// A unix socket gets the path that it asks for, if that is one there.
fn bind_path(caller: &Caller<'_>, name: &[u8]) -> Option<Answer> {
    const MODE: u32 = 0o777;
    let path = match fs::find_changed(caller, bind::path_of(caller, name)?) {
        Ok(path) => path?,
        Err(errno) => return Some(Answer::Failed(errno)),
    };
    let held = Held::of(caller, caller.int(0))?;
    Some(status(bind::bind_there(caller, held.socket(), path, caller.without_umask(MODE))))
}

fn listen(caller: &Caller<'_>) -> Option<Answer> {
    let held = Held::of(caller, caller.int(0))?;
    if held.socket().transport()? == Protocol::Tcp {
        caller.turn.hand_over();
        let name = String::from_utf8_lossy(&caller.program.executable).into_owned();
        let greet = || caller.supervisor.link.greet(caller.guest.pid, &name, false).ok();
        caller.guest.presence(|| greet().map(|(connection, _)| connection));
    }
    listen::listen(caller, held.socket(), caller.int(1)).map(status)
}

fn tell(caller: &Caller<'_>, whose: Whose) -> Option<Answer> {
    let told = if let Some(held) = Held::of(caller, caller.int(0)) {
        name::address(caller, held.socket(), whose)?
    } else {
        let (inode, domain) = caller.supervisor.sockets.kept.as_ref()?.domain(caller, caller.int(0))?;
        name::address_of(caller, inode, domain, whose)?
    };
    Some(status(address::give(caller, &told, caller.argument(1), caller.argument(2))))
}

/// `getsockopt(SO_ERROR)`: of a relayed connect, the far side's errno.
fn error(caller: &Caller<'_>) -> Option<Answer> {
    if (caller.int(1), caller.int(2)) != (libc::SOL_SOCKET, libc::SO_ERROR) || !caller.may_relay() {
        return None;
    }
    let held = Held::of(caller, caller.int(0))?;
    let (place, length) = (caller.argument(3), caller.argument(4));
    let room: u32 = caller.memory().value(length).ok()?;
    if held.socket().transport()? != Protocol::Tcp || room < 4 || place == 0 {
        return None;
    }
    let error = relay::connect_error(caller, held.socket());
    if held.socket().tcp_state() == Ok(socket::ESTABLISHED) {
        let_go(caller, held.socket());
    }
    let (error, memory) = (error?, caller.memory());
    let told =
        memory.write(place, &error.to_ne_bytes()).and_then(|()| memory.write(length, &4_u32.to_ne_bytes()));
    Some(status(told))
}
