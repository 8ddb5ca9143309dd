//! Relayed streams: the guest's own socket, connected to the proxy, that is to behave as if connected to the far side.
//!
//! A blocking connect waits for the outcome. A non-blocking one is plugged (DESIGN 2): its send buffer is made as
//! small as can be and stuffed with zeros, which the proxy reads away when the far side has answered; until then no
//! poll finds it writable. A connection that failed is reset by the proxy, and its errno is kept there.

use std::{
    net::SocketAddr,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
};

use libc::c_int;
use mirrord_core::{addr, rules::address::Protocol, verdict::Errno};
use mirrord_protocol::proxy::sockets::{SocketAnswer, SocketQuestion};

use crate::{
    Outcome, World, datagram, options,
    socket::{CLOSED, CONNECTING, ESTABLISHED, Socket},
    world::NONSENSE,
};

/// How many milliseconds loopback may take, on the busiest machine: what is lost there is sent again after a second.
const PATIENCE: i32 = 5000;

/// Connects a socket by the relay.
pub(crate) fn connect(world: &impl World, socket: Socket, protocol: Protocol, to: SocketAddr) -> Outcome<()> {
    match protocol {
        Protocol::Udp => datagram::relay_of(world, socket, to, true).and_then(|relay| socket.connect(relay)),
        _ => connect_stream(world, socket, to),
    }
}

fn connect_stream(world: &impl World, socket: Socket, to: SocketAddr) -> Outcome<()> {
    match stage(world, socket)? {
        Stage::Closed => {}
        Stage::Plugged => return Err(Errno(libc::EALREADY)),
        // The kernel says once that it has succeeded, and from then on that it is connected.
        Stage::Other => return socket.connect(to),
    }
    let error = socket.number(libc::SOL_SOCKET, libc::SO_ERROR)?;
    if error != 0 {
        return Err(take_failure(world, socket).unwrap_or(Errno(error)));
    }
    let relay = relay_address(world)?;
    if socket.domain()? == libc::AF_INET6 && relay.is_ipv4() {
        let _ = socket.set_number(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0);
    }
    if socket.is_nonblocking() { begin(world, socket, relay, to) } else { complete(world, socket, relay, to) }
}

/// Waits for the outcome of a connect that is under way already.
pub fn finish(world: &impl World, socket: Socket) -> Outcome<()> {
    let outcome = outcome(world, socket)?;
    if outcome.is_err() && outcome != Err(Errno(libc::EINTR)) {
        socket.is_over(PATIENCE);
        forget(socket);
    }
    outcome
}

/// A connect that waits.
fn complete(world: &impl World, socket: Socket, relay: SocketAddr, to: SocketAddr) -> Outcome<()> {
    reach(socket, relay)?;
    let question = question(socket, to, 0, None, true)?;
    let outcome = world.ask_patiently(question);
    if matches!(outcome, Err(Errno(errno)) if errno != libc::EINTR) {
        // The kernel's own error comes with the reset: what is forgotten before it has come would be told later.
        socket.is_over(PATIENCE);
        forget(socket);
    }
    outcome.map(drop)
}

/// A connect that is in progress until the far side answers.
fn begin(world: &impl World, socket: Socket, relay: SocketAddr, to: SocketAddr) -> Outcome<()> {
    let send_buffer = options::send_buffer(socket);
    socket.set_number(libc::SOL_SOCKET, libc::SO_SNDBUF, 1)?;
    reach(socket, relay)?;
    let n_plugged = plug(socket);
    if n_plugged == 0 {
        // It would be found writable, and so taken for connected.
        forget(socket);
        return Err(Errno(libc::ENOBUFS));
    }
    let send_buffer = send_buffer.and_then(|size| u32::try_from(size).ok());
    let question = question(socket, to, n_plugged, send_buffer, false)?;
    // SAFETY: the guest's call keeps its number open while it lasts; if it does not, the kernel refuses it.
    let duplicate = unsafe { BorrowedFd::borrow_raw(socket.0) };
    match world.ask_with(question, duplicate) {
        Ok(_) => Err(Errno(libc::EINPROGRESS)),
        Err(errno) => {
            forget(socket);
            Err(errno)
        }
    }
}

fn question(
    socket: Socket,
    to: SocketAddr,
    n_plugged: u32,
    send_buffer: Option<u32>,
    wait: bool,
) -> Outcome<SocketQuestion> {
    let from = addr::plain(socket.local()?);
    let (inode, to) = (socket.inode()?, addr::reached(addr::plain(to)));
    Ok(SocketQuestion::Connect { inode, from, to, n_plugged, send_buffer, wait })
}

/// Loopback answers at once, also a socket that does not wait.
fn reach(socket: Socket, relay: SocketAddr) -> Outcome<()> {
    let mut outcome = socket.connect(relay);
    // The kernel has not noticed that an earlier connection was reset.
    if outcome == Err(Errno(libc::EISCONN)) && socket.tcp_state()? == CLOSED {
        socket.disconnect()?;
        outcome = socket.connect(relay);
    }
    match outcome {
        Err(Errno(libc::EINPROGRESS | libc::EINTR)) => {
            if socket.tcp_state()? == CONNECTING && !socket.is_writable(PATIENCE) {
                forget(socket);
                return Err(Errno(libc::ETIMEDOUT));
            }
            Ok(())
        }
        // The proxy is gone.
        Err(Errno(libc::ECONNREFUSED)) => Err(Errno(libc::ENETDOWN)),
        outcome => outcome,
    }
}

fn plug(socket: Socket) -> u32 {
    static ZEROS: [u8; 16 << 10] = [0; 16 << 10];
    const ENOUGH: usize = 1 << 20;
    let mut n_plugged = 0;
    while n_plugged < ENOUGH
        && let Ok(n_sent @ 1..) = socket.send_now(&ZEROS)
    {
        n_plugged += n_sent;
    }
    u32::try_from(n_plugged).unwrap_or(0)
}

/// Makes a socket that has failed as good as new, as the kernel does after a failed connect.
fn forget(socket: Socket) {
    let _ = socket.number(libc::SOL_SOCKET, libc::SO_ERROR);
    let _ = socket.disconnect();
}

/// The errno of a connect that has failed, told once.
fn take_failure(world: &impl World, socket: Socket) -> Option<Errno> {
    let errno = outcome(world, socket).ok()?.err()?;
    forget(socket);
    Some(errno)
}

/// What has become of a connect; waits for it.
fn outcome(world: &impl World, socket: Socket) -> Outcome<Outcome<()>> {
    Ok(world.ask_patiently(SocketQuestion::Outcome(socket.inode()?)).map(drop))
}

/// Whether the kernel has connected it to the relay.
fn is_relayed(world: &impl World, socket: Socket) -> bool {
    match (socket.peer(), relay_address(world)) {
        (Ok(peer), Ok(relay)) => addr::plain(peer) == addr::plain(relay),
        _ => false,
    }
}

/// Where the relay listens: asked once for each process, kept as its port behind its address.
fn relay_address(world: &impl World) -> Outcome<SocketAddr> {
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        let [_, _, port @ .., a, b, c, d] = known.to_be_bytes();
        return Ok(SocketAddr::from(([a, b, c, d], u16::from_be_bytes(port))));
    }
    let (SocketAnswer::Relay(relay), _) = world.ask(SocketQuestion::StreamRelay)? else {
        return Err(NONSENSE);
    };
    if let SocketAddr::V4(v4) = relay {
        let packed = u64::from(v4.ip().to_bits()) | u64::from(v4.port()) << 32;
        KNOWN.store(packed, Ordering::Relaxed);
    }
    Ok(relay)
}

/// How far a stream is.
enum Stage {
    /// Not connected yet, or not any more.
    Closed,
    /// Connected to the relay, and not writable: the far side has not answered.
    Plugged,
    /// Whatever else the kernel knows it to be.
    Other,
}

fn stage(world: &impl World, socket: Socket) -> Outcome<Stage> {
    if socket.tcp_state()? == ESTABLISHED {
        if is_relayed(world, socket) && !socket.is_writable(0) {
            return Ok(Stage::Plugged);
        }
        // A reset, which may come between these questions, makes it writable before the state tells of it. The kernel
        // reads the state first and then waits for its lock, which whoever resets holds: what is asked next is true.
        socket.tcp_state()?;
    }
    Ok(if socket.tcp_state()? == CLOSED { Stage::Closed } else { Stage::Other })
}

/// `getsockopt(SO_ERROR)`: of a relayed connect, the far side's errno; nothing if the kernel's own is right, and was
/// not asked for yet.
pub fn connect_error(world: &impl World, socket: Socket) -> Option<c_int> {
    match stage(world, socket).ok()? {
        // Reset while it was plugged, or later. Asking the kernel makes it forget.
        Stage::Closed => {
            let error = socket.number(libc::SOL_SOCKET, libc::SO_ERROR).ok()?;
            let errno = if error == 0 { None } else { take_failure(world, socket) };
            Some(errno.map_or(error, |errno| errno.0))
        }
        Stage::Plugged => take_failure(world, socket).map(|errno| errno.0),
        Stage::Other => None,
    }
}
