//! What the kernel knows of a socket: asked past the C library, so that errno and our own hooks are left alone.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use libc::{c_int, socklen_t};
use mirrord_core::{rules::address::Protocol, verdict::Errno};
use mirrord_protocol::id::SocketInode;

use crate::Outcome;
use crate::{
    kernel::{self, int},
    sockaddr::Encoded,
};

/// `SO_NETNS_COOKIE` (Linux 5.14).
const SO_NETNS_COOKIE: c_int = 71;
/// The longest option that is asked for or copied.
pub const MAX_OPTION: usize = 16;

/// `TCP_CLOSE`: neither connected nor listening.
pub const CLOSED: u8 = 7;
/// `TCP_ESTABLISHED`.
pub const ESTABLISHED: u8 = 1;
/// `TCP_LISTEN`.
pub const LISTENING: u8 = 10;
/// `TCP_SYN_SENT`.
pub const CONNECTING: u8 = 2;

/// The network namespace in which a socket lives, by the kernel's number for it.
pub fn netns_cookie(socket: impl AsFd) -> Option<u64> {
    Socket(socket.as_fd().as_raw_fd()).netns_cookie()
}

/// A descriptor that a guest calls a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket(pub RawFd);

/// The value of an option.
pub struct OptionValue {
    bytes: [u8; MAX_OPTION],
    length: usize,
}

impl OptionValue {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length.min(MAX_OPTION)]
    }
}

impl Socket {
    /// A new socket of this process's network namespace, closed on `exec`.
    pub fn make(domain: c_int, kind: c_int, protocol: c_int) -> Outcome<OwnedFd> {
        let arguments = [int(domain), int(kind | libc::SOCK_CLOEXEC), int(protocol), 0, 0, 0];
        // SAFETY: the call takes numbers only.
        let fd = unsafe { kernel::call(libc::SYS_socket, arguments) }?;
        let fd = RawFd::try_from(fd).map_err(|_| Errno(libc::EMFILE))?;
        // SAFETY: the descriptor is fresh, and nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// An option.
    pub fn option(self, level: c_int, name: c_int) -> Outcome<OptionValue> {
        self.sized_option(level, name, MAX_OPTION)
    }

    /// An option for which the kernel wants room of exactly its size.
    fn sized_option(self, level: c_int, name: c_int, room: usize) -> Outcome<OptionValue> {
        let mut value = OptionValue { bytes: [0; MAX_OPTION], length: 0 };
        let mut length = socklen_t::try_from(room.min(MAX_OPTION)).unwrap_or(0);
        let (bytes, place) = (value.bytes.as_mut_ptr().addr(), (&raw mut length).addr());
        let arguments = [int(self.0), int(level), int(name), bytes, place, 0];
        // SAFETY: the value and its length are ours.
        unsafe { kernel::call(libc::SYS_getsockopt, arguments) }?;
        value.length = usize::try_from(length).unwrap_or(0);
        Ok(value)
    }

    /// An option that is an address.
    pub fn long_option(self, level: c_int, name: c_int) -> Outcome<Encoded> {
        let mut place = Encoded::empty();
        let (bytes, length) = (place.as_mut_ptr().addr(), std::ptr::from_mut(place.length_mut()).addr());
        let arguments = [int(self.0), int(level), int(name), bytes, length, 0];
        // SAFETY: the place is ours, and as large as any address.
        unsafe { kernel::call(libc::SYS_getsockopt, arguments) }?;
        Ok(place)
    }

    /// An option that is a number.
    pub fn number(self, level: c_int, name: c_int) -> Outcome<c_int> {
        let value = self.option(level, name)?;
        value.bytes().first_chunk().map(|bytes| c_int::from_ne_bytes(*bytes)).ok_or(Errno(libc::EINVAL))
    }

    /// Sets an option.
    pub fn set(self, level: c_int, name: c_int, value: &[u8]) -> Outcome<()> {
        let arguments = [int(self.0), int(level), int(name), value.as_ptr().addr(), value.len(), 0];
        // SAFETY: the value is ours, and only read.
        unsafe { kernel::call(libc::SYS_setsockopt, arguments) }.map(drop)
    }

    /// Sets an option that is a number.
    pub fn set_number(self, level: c_int, name: c_int, value: c_int) -> Outcome<()> {
        self.set(level, name, &value.to_ne_bytes())
    }

    /// `AF_INET`, `AF_INET6`, …
    pub fn domain(self) -> Outcome<c_int> {
        self.number(libc::SOL_SOCKET, libc::SO_DOMAIN)
    }

    /// `SOCK_STREAM`, `SOCK_DGRAM`, …
    pub fn kind(self) -> Outcome<c_int> {
        self.number(libc::SOL_SOCKET, libc::SO_TYPE)
    }

    /// `IPPROTO_TCP`, …
    pub fn protocol(self) -> Outcome<c_int> {
        self.number(libc::SOL_SOCKET, libc::SO_PROTOCOL)
    }

    /// Whether it speaks TCP or UDP; nothing if it speaks something else, or is no socket.
    pub fn transport(self) -> Option<Protocol> {
        match (self.kind().ok()?, self.protocol().ok()?) {
            (libc::SOCK_STREAM, libc::IPPROTO_TCP | libc::IPPROTO_MPTCP) => Some(Protocol::Tcp),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP) => Some(Protocol::Udp),
            _ => None,
        }
    }

    /// The network namespace in which it lives.
    pub fn netns_cookie(self) -> Option<u64> {
        let value = self.sized_option(libc::SOL_SOCKET, SO_NETNS_COOKIE, size_of::<u64>()).ok()?;
        value.bytes().first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
    }

    /// The state of a TCP socket.
    pub fn tcp_state(self) -> Outcome<u8> {
        let value = self.option(libc::IPPROTO_TCP, libc::TCP_INFO)?;
        value.bytes().first().copied().ok_or(Errno(libc::EINVAL))
    }

    /// Its own address, as the kernel tells it.
    pub fn local(self) -> Outcome<SocketAddr> {
        self.address(libc::SYS_getsockname)
    }

    /// Its peer's, as the kernel tells it.
    pub fn peer(self) -> Outcome<SocketAddr> {
        self.address(libc::SYS_getpeername)
    }

    fn address(self, call: libc::c_long) -> Outcome<SocketAddr> {
        let mut place = Encoded::empty();
        let (address, length) = (place.as_mut_ptr().addr(), std::ptr::from_mut(place.length_mut()).addr());
        // SAFETY: the place is ours, and as large as any address.
        unsafe { kernel::call(call, [int(self.0), address, length, 0, 0, 0]) }?;
        place.inet().ok_or(Errno::EAFNOSUPPORT)
    }

    /// Binds it, past every rule.
    pub fn bind(self, address: SocketAddr) -> Outcome<()> {
        let encoded = Encoded::new(address, self.domain()?);
        let length = usize::try_from(encoded.length()).unwrap_or(0);
        let arguments = [int(self.0), encoded.as_ptr().addr(), length, 0, 0, 0];
        // SAFETY: the address is ours, and only read.
        unsafe { kernel::call(libc::SYS_bind, arguments) }.map(drop)
    }

    /// Connects it, past every rule.
    pub fn connect(self, address: SocketAddr) -> Outcome<()> {
        self.connect_to(&Encoded::new(address, self.domain()?))
    }

    /// Unties it from its peer.
    pub fn disconnect(self) -> Outcome<()> {
        self.connect_to(&Encoded::unspecified())
    }

    fn connect_to(self, address: &Encoded) -> Outcome<()> {
        let length = usize::try_from(address.length()).unwrap_or(0);
        let arguments = [int(self.0), address.as_ptr().addr(), length, 0, 0, 0];
        // SAFETY: the address is ours, and only read.
        unsafe { kernel::call(libc::SYS_connect, arguments) }.map(drop)
    }

    /// Sends as much as fits, without waiting.
    pub fn send_now(self, bytes: &[u8]) -> Outcome<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let arguments = [int(self.0), bytes.as_ptr().addr(), bytes.len(), int(flags), 0, 0];
        // SAFETY: the bytes are ours, and only read.
        unsafe { kernel::call(libc::SYS_sendto, arguments) }
    }

    /// Whether it takes bytes, or has failed; waits for that so many milliseconds.
    pub fn is_writable(self, patience: i32) -> bool {
        self.waits_for(libc::POLLOUT, patience)
    }

    /// Whether there is something to be taken from it; waits for that so many milliseconds.
    pub fn is_readable(self, patience: i32) -> bool {
        self.waits_for(libc::POLLIN, patience)
    }

    /// Ends its connection both ways; the number stays.
    pub fn shut(self) {
        let arguments = [int(self.0), int(libc::SHUT_RDWR), 0, 0, 0, 0];
        // SAFETY: the call takes numbers. One that has ended already has what is wanted.
        let _ = unsafe { kernel::call(libc::SYS_shutdown, arguments) };
    }

    /// Whether its connection has been reset, or has ended both ways; waits for that so many milliseconds.
    pub fn is_over(self, patience: i32) -> bool {
        self.waits_for(0, patience)
    }

    fn waits_for(self, events: libc::c_short, patience: i32) -> bool {
        let mut asked = libc::pollfd { fd: self.0, events, revents: 0 };
        let mut limit = libc::timespec {
            tv_sec: i64::from(patience / 1000),
            tv_nsec: i64::from(patience % 1000) * 1_000_000,
        };
        // The kernel counts the limit down, so that a signal does not lengthen it.
        let arguments = [(&raw mut asked).addr(), 1, (&raw mut limit).addr(), 0, 0, 0];
        // SAFETY: both structures are ours; no signal mask is given.
        unsafe { kernel::call_again(libc::SYS_ppoll, arguments) }.is_ok_and(|n_ready| n_ready > 0)
    }

    /// The number that names it, whatever descriptors it has.
    pub fn inode(self) -> Outcome<SocketInode> {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the structure is ours, and the kernel fills it.
        unsafe { kernel::call(libc::SYS_fstat, [int(self.0), stat.as_mut_ptr().addr(), 0, 0, 0, 0]) }?;
        // SAFETY: all zeroes are a valid structure, and so is what the kernel has written.
        Ok(SocketInode(unsafe { stat.assume_init() }.st_ino))
    }

    /// `fcntl(2)` with a number.
    pub fn control(self, command: c_int, argument: c_int) -> Outcome<c_int> {
        // SAFETY: the commands that are used here take numbers.
        let answer =
            unsafe { kernel::call(libc::SYS_fcntl, [int(self.0), int(command), int(argument), 0, 0, 0]) }?;
        Ok(c_int::try_from(answer).unwrap_or(0))
    }

    /// Whether its calls do not wait.
    pub fn is_nonblocking(self) -> bool {
        self.control(libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
    }

    /// Makes its calls wait, or not.
    pub fn set_nonblocking(self, nonblocking: bool) -> Outcome<()> {
        let flags = self.control(libc::F_GETFL, 0)?;
        let wanted = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
        if wanted == flags { Ok(()) } else { self.control(libc::F_SETFL, wanted).map(drop) }
    }

    /// Puts another socket behind this number, atomically. `close_on_exec` is of the number, not of the socket.
    pub fn replace(self, with: &OwnedFd, close_on_exec: bool) -> Outcome<()> {
        let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
        let arguments = [int(with.as_raw_fd()), int(self.0), int(flags), 0, 0, 0];
        // SAFETY: the guest's number is replaced, which is the guest's wish; ours stays ours.
        unsafe { kernel::call_again(libc::SYS_dup3, arguments) }.map(drop)
    }

    /// Gives the number back to the kernel.
    pub fn close(self) {
        // SAFETY: the caller gives up a number that the guest has never seen.
        let _ = unsafe { kernel::call(libc::SYS_close, [int(self.0), 0, 0, 0, 0, 0]) };
    }
}
