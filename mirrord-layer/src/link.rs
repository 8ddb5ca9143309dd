//! One question and its answer: connections to the proxy, as many as threads ask at once, and lanes to the agent.
//!
//! Where descriptors are passed, the agent itself is asked for what the proxy would only pass on ([`lane`]).
//!
//! A connection that nobody uses waits in a pool without locks. Guests close descriptors behind our back, so a pooled
//! one is known by its inode, and left alone if the number has become something else. The pool lies on a page that a
//! fork empties (`MADV_WIPEONFORK`), however the fork was made; the child then closes what it inherited, and until it
//! asks for the first time, its copies tell the proxy that the session still has a process.

use std::{
    os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering},
};

use crate::lane;
use mirrord_protocol::{
    proxy::{FromProxy, ToProxy, lineage},
    version::Version,
    wire::{self, MAX_PACKET},
};
use rustix::{
    io::{Errno, IoSlice, IoSliceMut},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
        sockopt,
    },
};

const N_POOLED: usize = 32;
const MAX_DESCRIPTORS: usize = 2;

/// How long a question may stay unanswered before the proxy counts as gone; connects are asked patiently.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Why the proxy cannot be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LinkError {
    /// It is gone, silent, or speaks nonsense.
    Lost,
    /// There is no number left for a connection, or for the descriptor that is the answer.
    Full(Errno),
}

impl From<Errno> for LinkError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::MFILE | Errno::NFILE => Self::Full(errno),
            _ => Self::Lost,
        }
    }
}

/// How long an answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// [`PATIENCE`], whatever signals come.
    Bounded,
    /// As long as the proxy lives.
    Patient,
    /// The same, but no longer than until a signal whose handler wants no call to go on (`SA_RESTART`, `sigaction(2)`).
    UntilSignal,
}

/// An answer, and the descriptors that rode along.
pub(crate) struct Reply {
    pub(crate) answer: FromProxy,
    descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS],
}

impl Reply {
    /// An answer with what came beside it, if those fit one another. `is_cut` says that not all found numbers.
    pub(crate) fn new(
        answer: FromProxy,
        ancillary: &mut RecvAncillaryBuffer<'_>,
        is_cut: bool,
    ) -> Result<Self, LinkError> {
        let mut descriptors = [const { None }; MAX_DESCRIPTORS];
        let arrived = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        });
        for (place, descriptor) in descriptors.iter_mut().zip(arrived.flatten()) {
            *place = Some(descriptor);
        }
        let n_here = descriptors.iter().flatten().count();
        match n_here == answer.n_descriptors() {
            true => Ok(Self { answer, descriptors }),
            false if is_cut => Err(LinkError::Full(Errno::MFILE)),
            false => Err(LinkError::Lost),
        }
    }

    /// The next descriptor that rode along.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.iter_mut().find_map(Option::take)
    }
}

/// The page that a fork wipes.
#[repr(C, align(4096))]
struct Pool {
    /// [`FRESH`] after a fork, [`CLEANING`] while inherited descriptors are closed, then [`READY`].
    state: AtomicU32,
    /// Connections to the proxy, and lanes to the agent.
    slots: [[Slot; N_POOLED]; 2],
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The proxy, by a connection that has said hello.
    Proxy,
    /// The agent, by a lane.
    Agent,
}

#[repr(C)]
struct Slot {
    /// 0: empty. Otherwise the descriptor plus one, and [`BUSY`] while a thread asks through it.
    word: AtomicU64,
    inode: AtomicU64,
}

const FRESH: u32 = 0;
const CLEANING: u32 = 1;
const READY: u32 = 2;
const BUSY: u64 = 1 << 63;

static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());

/// What a forked child has inherited: the numbers in the pool, on memory that a fork copies.
static INHERITED: [[(AtomicI32, AtomicU64); N_POOLED]; 2] =
    [const { [const { (AtomicI32::new(-1), AtomicU64::new(0)) }; N_POOLED] }; 2];

/// Where the proxy listens: set once, before the first question.
static ADDRESS: AtomicPtr<SocketAddrUnix> = AtomicPtr::new(std::ptr::null_mut());

/// Takes note of the proxy's address (`@name`, or a path) and prepares the pool.
pub(crate) fn prepare(address: &[u8]) -> Result<(), LinkError> {
    let address = match address.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name),
        None => SocketAddrUnix::new(address),
    };
    let address = Box::leak(Box::new(address.map_err(|_| LinkError::Lost)?));
    ADDRESS.store(address, Ordering::Release);
    let flags = rustix::mm::MapFlags::PRIVATE;
    let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
    // SAFETY: a fresh anonymous mapping replaces nothing.
    let page =
        unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), size_of::<Pool>(), protection, flags) }
            .map_err(|_| LinkError::Lost)?;
    // SAFETY: the page is ours; wiping it in a forked child is what is wanted.
    unsafe { rustix::mm::madvise(page, size_of::<Pool>(), rustix::mm::Advice::LinuxWipeOnFork) }
        .map_err(|_| LinkError::Lost)?;
    POOL.store(page.cast(), Ordering::Release);
    Ok(())
}

/// Asks, and waits for the answer a bounded time.
pub(crate) fn ask(question: &ToProxy) -> Result<Reply, LinkError> {
    if let Some(reply) = lane::ask(question) {
        return reply;
    }
    ask_proxy(question)
}

/// Asks the proxy, whoever else could answer.
pub(crate) fn ask_proxy(question: &ToProxy) -> Result<Reply, LinkError> {
    settled(exchange(question, None, Wait::Bounded))
}

/// Asks with a descriptor that rides along.
pub(crate) fn ask_with(question: &ToProxy, descriptor: BorrowedFd<'_>) -> Result<Reply, LinkError> {
    settled(exchange(question, Some(descriptor), Wait::Bounded))
}

/// Asks what only the network can answer, and waits as long as the proxy lives.
pub(crate) fn ask_patiently(question: &ToProxy) -> Result<Reply, LinkError> {
    settled(exchange(question, None, Wait::Patient))
}

/// The same, but a signal ends the wait: then there is no answer.
pub(crate) fn ask_until_signal(question: &ToProxy) -> Result<Option<Reply>, LinkError> {
    exchange(question, None, Wait::UntilSignal)
}

pub(crate) fn settled(outcome: Result<Option<Reply>, LinkError>) -> Result<Reply, LinkError> {
    outcome?.ok_or(LinkError::Lost)
}

fn exchange(
    question: &ToProxy,
    descriptor: Option<BorrowedFd<'_>>,
    wait: Wait,
) -> Result<Option<Reply>, LinkError> {
    let bytes = wire::encode(question).map_err(|_| LinkError::Lost)?;
    // A pooled connection may have died with an earlier proxy call of a vanished thread: one more try is fresh.
    let connection = Connection::claim(Whom::Proxy, false)?;
    match send(connection.socket.as_fd(), &bytes, descriptor) {
        Ok(()) => {}
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => {
            connection.discard();
            let connection = Connection::claim(Whom::Proxy, true)?;
            send(connection.socket.as_fd(), &bytes, descriptor).map_err(|_| LinkError::Lost)?;
            return connection.finish(|socket| receive_within(socket, wait));
        }
        Err(_) => {
            connection.discard();
            return Err(LinkError::Lost);
        }
    }
    connection.finish(|socket| receive_within(socket, wait))
}

/// A connection that this thread has to itself.
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    whom: Whom,
    /// Its place in the pool; none if the pool was full.
    slot: Option<usize>,
}

impl Connection {
    /// One that nobody uses, unless it is to be fresh, or else a new one.
    pub(crate) fn claim(whom: Whom, fresh: bool) -> Result<Self, LinkError> {
        let pool = pool()?;
        if !fresh && let Some(connection) = pool.and_then(|pool| Self::claim_idle(pool, whom)) {
            return Ok(connection);
        }
        let socket = match whom {
            Whom::Proxy => greet(false)?.0,
            Whom::Agent => lane::open()?,
        };
        Ok(Self { socket, whom, slot: pool.and_then(|pool| reserve(pool, whom)) })
    }

    fn claim_idle(pool: &'static Pool, whom: Whom) -> Option<Self> {
        for (index, slot) in pool.slots[whom as usize].iter().enumerate() {
            let word = slot.word.load(Ordering::Acquire);
            if word == 0 || word & BUSY != 0 {
                continue;
            }
            if slot.word.compare_exchange(word, word | BUSY, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            let fd = RawFd::try_from(word - 1).unwrap_or(-1);
            if inode(fd) == Some(slot.inode.load(Ordering::Acquire)) {
                // SAFETY: the descriptor is the pool's own, as its inode proves, and this thread has claimed it.
                let socket = unsafe { OwnedFd::from_raw_fd(fd) };
                return Some(Self { socket, whom, slot: Some(index) });
            }
            // The guest has closed our descriptor: the number is no longer ours to close.
            slot.word.store(0, Ordering::Release);
        }
        None
    }

    /// Waits for the answer, and keeps the connection if there is one.
    pub(crate) fn finish(
        self,
        receive: impl FnOnce(BorrowedFd<'_>) -> Result<Option<Reply>, LinkError>,
    ) -> Result<Option<Reply>, LinkError> {
        let outcome = receive(self.socket.as_fd());
        match outcome {
            // It has been heard to the end.
            Ok(Some(_)) | Err(LinkError::Full(_)) => self.give_back(),
            // Its answer is still to come: it must not be taken for another's.
            Ok(None) | Err(_) => self.discard(),
        }
        outcome
    }

    fn give_back(self) {
        let (Some(index), Ok(Some(pool))) = (self.slot, pool()) else { return };
        let (slot, inherited) =
            (&pool.slots[self.whom as usize][index], &INHERITED[self.whom as usize][index]);
        let fd = self.socket.into_raw_fd();
        let inode = inode(fd).unwrap_or(0);
        slot.inode.store(inode, Ordering::Release);
        inherited.1.store(inode, Ordering::Release);
        inherited.0.store(fd, Ordering::Release);
        slot.word.store(u64::try_from(fd).unwrap_or(0) + 1, Ordering::Release);
    }

    /// Gives it up.
    pub(crate) fn discard(self) {
        drop(self.socket);
        if let (Some(index), Ok(Some(pool))) = (self.slot, pool()) {
            INHERITED[self.whom as usize][index].0.store(-1, Ordering::Release);
            pool.slots[self.whom as usize][index].word.store(0, Ordering::Release);
        }
    }
}

/// An empty place of the pool, now taken.
fn reserve(pool: &Pool, whom: Whom) -> Option<usize> {
    let take = |slot: &Slot| slot.word.compare_exchange(0, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    pool.slots[whom as usize].iter().position(take)
}

/// The pool; nothing while another thread (or the code that a signal interrupted) cleans up after a fork.
fn pool() -> Result<Option<&'static Pool>, LinkError> {
    // SAFETY: the pointer is null or the page that `prepare` made, which is never unmapped.
    let pool = unsafe { POOL.load(Ordering::Acquire).as_ref() }.ok_or(LinkError::Lost)?;
    match pool.state.compare_exchange(FRESH, CLEANING, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            // A new connection comes before the old ones go: without any the session would end.
            let fresh = greet(false).ok();
            for (fd, saved) in INHERITED.as_flattened() {
                let fd = fd.swap(-1, Ordering::AcqRel);
                if fd >= 0 && inode(fd) == Some(saved.load(Ordering::Acquire)) {
                    // SAFETY: the descriptor is a copy of the parent's connection, which nobody here uses.
                    drop(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
            pool.state.store(READY, Ordering::Release);
            if let Some((socket, _)) = fresh {
                let whom = Whom::Proxy;
                Connection { socket, whom, slot: reserve(pool, whom) }.give_back();
            }
            Ok(Some(pool))
        }
        Err(READY) => Ok(Some(pool)),
        Err(_) => Ok(None),
    }
}

fn inode(fd: RawFd) -> Option<u64> {
    if fd < 0 {
        return None;
    }
    // SAFETY: the number is only asked about; the kernel checks it.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::fs::fstat(fd).ok().map(|stat| stat.st_ino)
}

/// Introduces this program and receives its settings.
pub(crate) fn introduce() -> Result<Reply, LinkError> {
    let (socket, reply) = greet(true)?;
    let whom = Whom::Proxy;
    Connection { socket, whom, slot: pool()?.and_then(|pool| reserve(pool, whom)) }.give_back();
    Ok(reply)
}

/// A connection that has said hello, on a number that guests do not count with.
fn greet(settings: bool) -> Result<(OwnedFd, Reply), LinkError> {
    // SAFETY: the pointer is null or what `prepare` has leaked.
    let address = unsafe { ADDRESS.load(Ordering::Acquire).as_ref() }.ok_or(LinkError::Lost)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let socket = keep(socket);
    loop {
        match rustix::net::connect(&socket, address) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError::Lost),
        }
    }
    let hello = lineage::Hello {
        version: Version::OURS,
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        program: crate::process::program_name(),
        settings,
    };
    let bytes = wire::encode(&ToProxy::Hello(hello)).map_err(|_| LinkError::Lost)?;
    send(socket.as_fd(), &bytes, None).map_err(|_| LinkError::Lost)?;
    let reply = settled(receive(socket.as_fd(), Wait::Bounded))?;
    match &reply.answer {
        FromProxy::Welcome(welcome) if welcome.version == Version::OURS => Ok((socket, reply)),
        _ => Err(LinkError::Lost),
    }
}

/// Makes a socket ours for long: bounded in its waits, and on a number that guests do not count with.
pub(crate) fn keep(socket: OwnedFd) -> OwnedFd {
    let _ = sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE));
    let _ = sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE));
    to_high_number(socket)
}

/// Moves a descriptor out of the way of guests, who expect the lowest free number.
fn to_high_number(socket: OwnedFd) -> OwnedFd {
    const HIGH: u64 = 960;
    const MARGIN: u64 = 40;
    let limit =
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(HIGH + MARGIN);
    let floor = RawFd::try_from(HIGH.min(limit.saturating_sub(MARGIN))).unwrap_or(0);
    rustix::io::fcntl_dupfd_cloexec(&socket, floor).unwrap_or(socket)
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> rustix::io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(descriptor) = &descriptor {
        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(descriptor)));
    }
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for a packet and tells its length, so that no more memory is touched than it needs; none if a signal came.
fn next_length(socket: BorrowedFd<'_>, wait: Wait) -> Result<Option<usize>, LinkError> {
    loop {
        match rustix::net::recv(socket, &mut [0_u8; 0], RecvFlags::PEEK | RecvFlags::TRUNC) {
            Ok((_, length)) if (1..=MAX_PACKET).contains(&length) => return Ok(Some(length)),
            Err(Errno::INTR) if wait == Wait::UntilSignal => return Ok(None),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if wait != Wait::Bounded => {}
            Ok(_) | Err(_) => return Err(LinkError::Lost),
        }
    }
}

/// Receives an answer, for which it waits as it is told.
fn receive_within(socket: BorrowedFd<'_>, wait: Wait) -> Result<Option<Reply>, LinkError> {
    if wait != Wait::UntilSignal {
        return receive(socket, wait);
    }
    let limit = |limit| {
        let _ = sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, limit);
    };
    // The kernel goes on with a call after a signal only if its wait has no limit.
    limit(None);
    let outcome = receive(socket, wait);
    limit(Some(PATIENCE));
    outcome
}

fn receive(socket: BorrowedFd<'_>, wait: Wait) -> Result<Option<Reply>, LinkError> {
    let Some(length) = next_length(socket, wait)? else { return Ok(None) };
    let mut bytes = vec![0; length];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let (n_read, is_cut) = loop {
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break (message.bytes, message.flags.contains(ReturnFlags::CTRUNC)),
            Err(Errno::INTR) => {}
            Err(_) => return Err(LinkError::Lost),
        }
    };
    let answer = wire::decode(&bytes[..n_read]).map_err(|_| LinkError::Lost)?;
    Reply::new(answer, &mut ancillary, is_cut).map(Some)
}

/// Whether there is a number for one descriptor more: what cannot be taken back is not asked for without.
pub(crate) fn find_room() -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map(drop)
}
