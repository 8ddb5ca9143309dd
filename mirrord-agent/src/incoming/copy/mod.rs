//! Mirrored traffic: what the target hears, overheard without touching its connections.
//!
//! A packet socket (`packet(7)`) sees what comes in before the firewall does, so that it hears what is stolen, too;
//! only on loopback has the redirection already happened, and the agent tells which address was asked for. A thread
//! reads the packets and never waits for anybody: who reads too slowly is cut off.

mod feed;
mod filter;
mod flows;
mod packet;
mod reassembly;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mirrord_protocol::{agent::incoming::Port, id::ClientId};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt},
    },
};
use tokio::sync::mpsc;

pub(crate) use feed::Hearing;
pub(crate) use flows::News;
use flows::{Flows, Interest};

/// Packets that may wait for the thread, in bytes of kernel memory.
const SOCKET_BUFFER: usize = 32 << 20;

/// Larger than any packet that a kernel puts together (IPv4 and IPv6 without jumbograms).
const MAX_PACKET: usize = 256 << 10;

/// How often to look for what waits too long, while anything is followed.
const TICK: u16 = 1000;

/// The running capture. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Capture {
    socket: Arc<OwnedFd>,
    wishes: Arc<Mutex<Wishes>>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Debug, Default)]
struct Wishes {
    ports: BTreeMap<Port, Vec<ClientId>>,
    /// Where redirected connections go.
    agent_ports: BTreeSet<u16>,
    /// Ports that were wanted: their living connections are heard to the end.
    lingering: BTreeSet<u16>,
    names: Vec<((SocketAddr, SocketAddr), SocketAddr)>,
    is_over: bool,
}

impl Wishes {
    fn interest(&self, to: SocketAddr) -> Interest {
        match self.ports.get(&Port(to.port())) {
            Some(clients) => Interest::Clients(clients.clone()),
            None if self.agent_ports.contains(&to.port()) => Interest::Unnamed,
            None => Interest::Nobody,
        }
    }

    /// The ports of connections that are new.
    fn wanted(&self) -> BTreeSet<u16> {
        self.ports.keys().map(|port| port.0).chain(self.agent_ports.iter().copied()).collect()
    }

    /// Lets the kernel give us what we want, and no more.
    fn attach(&self, socket: &OwnedFd) -> io::Result<()> {
        attach(socket, &filter::program(&self.wanted().union(&self.lingering).copied().collect()))
    }
}

impl Capture {
    /// Begins to listen, to no port yet.
    ///
    /// # Errors
    /// `EPERM` without the right to see the target's packets.
    pub(super) fn begin(news: mpsc::UnboundedSender<News>) -> io::Result<Self> {
        let socket = Arc::new(open()?);
        let wishes = Arc::default();
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let listener = Listener {
            socket: Arc::clone(&socket),
            wishes: Arc::clone(&wishes),
            wake: Arc::clone(&wake),
            flows: Flows::default(),
            news,
            began: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(|| listener.run())?;
        Ok(Self { socket, wishes, wake, thread: Some(thread) })
    }

    /// From now on these ports are heard, by these clients, and connections to the agent's ports, once named.
    pub(super) fn set_ports(
        &self,
        ports: BTreeMap<Port, Vec<ClientId>>,
        agent_ports: BTreeSet<u16>,
    ) -> io::Result<()> {
        // Whoever is wanted in addition must be known to the thread before a packet of it comes.
        let mut wishes = lock(&self.wishes);
        let before = wishes.wanted();
        wishes.ports = ports;
        wishes.agent_ports = agent_ports;
        let wanted = wishes.wanted();
        wishes.lingering.extend(before);
        wishes.lingering.retain(|port| !wanted.contains(port));
        let _ = self.wake.write(1);
        wishes.attach(&self.socket)
    }

    /// A redirected connection has been accepted: its ends, and the address that its peer asked for.
    pub(super) fn name(&self, peer: SocketAddr, reached: SocketAddr, asked: SocketAddr) {
        lock(&self.wishes).names.push(((peer, reached), asked));
        let _ = self.wake.write(1);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        lock(&self.wishes).is_over = true;
        let _ = self.wake.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread.
struct Listener {
    socket: Arc<OwnedFd>,
    wishes: Arc<Mutex<Wishes>>,
    wake: Arc<EventFd>,
    flows: Flows,
    news: mpsc::UnboundedSender<News>,
    began: Instant,
}

impl Listener {
    fn run(mut self) {
        let mut buffer = vec![0; MAX_PACKET];
        loop {
            // Names first out, packets first in: a name that is known now belongs to packets that are here now.
            let _ = self.wake.read();
            let names = std::mem::take(&mut lock(&self.wishes).names);
            self.read_all(&mut buffer);
            if !self.hear_wishes(names) {
                return;
            }
            self.flows.handle_time(self.began.elapsed());
            for news in self.flows.take_news() {
                let _ = self.news.send(news);
            }
            self.wait();
        }
    }

    /// Whether there is anything left to hear.
    fn hear_wishes(&mut self, names: Vec<((SocketAddr, SocketAddr), SocketAddr)>) -> bool {
        let mut wishes = lock(&self.wishes);
        for (ends, asked) in names {
            self.flows.name(ends, asked, |to| wishes.interest(to));
        }
        if !wishes.lingering.is_empty() {
            let living = self.flows.ports();
            let n_before = wishes.lingering.len();
            wishes.lingering.retain(|port| living.contains(port));
            if wishes.lingering.len() < n_before {
                let _ = wishes.attach(&self.socket);
            }
        }
        !wishes.is_over
    }

    /// Reads as long as packets wait, but not for ever: time and news matter, too.
    fn read_all(&mut self, buffer: &mut [u8]) {
        for _ in 0..512 {
            let Ok(n_read) = receive(&self.socket, buffer) else { return };
            let Some(packet) = buffer.get(..n_read).and_then(packet::parse) else { continue };
            let wishes = lock(&self.wishes);
            let now: Duration = self.began.elapsed();
            self.flows.handle_packet(&packet, now, |to| wishes.interest(to));
        }
    }

    fn wait(&self) {
        use std::os::fd::AsFd;
        let timeout = if self.flows.is_empty() { PollTimeout::NONE } else { PollTimeout::from(TICK) };
        let mut fds = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, timeout);
    }
}

fn lock(wishes: &Mutex<Wishes>) -> MutexGuard<'_, Wishes> {
    wishes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A packet socket that takes nothing until it has its filter.
fn open() -> io::Result<OwnedFd> {
    // Protocol 0 hears nothing; binding to all protocols begins.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        let _ = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    attach(&socket, &filter::program(&BTreeSet::new()))?;
    bind_to_all(&socket)?;
    Ok(socket)
}

fn bind_to_all(socket: &OwnedFd) -> io::Result<()> {
    let protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or_default().to_be();
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
        sll_protocol: protocol,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or_default();
    // SAFETY: the address is a whole `sockaddr_ll`, as long as said.
    let outcome = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn attach(socket: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or_default(),
        filter: program.as_ptr().cast_mut(),
    };
    let length = libc::socklen_t::try_from(size_of_val(&program)).unwrap_or_default();
    // SAFETY: the kernel copies the program, whose length is right, and writes nothing.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            length,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is as long as said.
    let n_read = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(n_read).map_err(|_| io::Error::last_os_error())
}
