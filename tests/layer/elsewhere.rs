//! Another network namespace, in which sockets are made for guests: where nothing of it can be had, a story says so.

use std::{
    net::{TcpListener, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{Mutex, mpsc},
    thread,
};

use nix::sched::{CloneFlags, unshare};

/// A network namespace with a listener that greets, and sockets in store.
pub(crate) struct Elsewhere {
    /// Its number, as the kernel tells it.
    pub(crate) cookie: u64,
    /// The port that greets every stream and answers every datagram.
    pub(crate) port: u16,
    store: Mutex<Vec<(i32, i32, OwnedFd)>>,
}

/// Why there is none is printed: only root may make a namespace from a thread.
pub(crate) fn elsewhere() -> Option<Elsewhere> {
    let (made_tx, made) = mpsc::channel();
    thread::spawn(move || {
        let _ = made_tx.send(make());
    });
    let elsewhere = made.recv().unwrap();
    if elsewhere.is_none() {
        mirrord_tests::ground::skip("a network namespace cannot be made here");
    }
    elsewhere
}

fn make() -> Option<Elsewhere> {
    unshare(CloneFlags::CLONE_NEWNET).ok()?;
    raise_loopback();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let datagrams = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let mut store = Vec::new();
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
        for _ in 0..4 {
            store.push((libc::AF_INET, kind, fresh(libc::AF_INET, kind)));
        }
    }
    let cookie = cookie(&store[0].2);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"from there");
        }
    });
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((_, peer)) = datagrams.recv_from(&mut bytes) {
            let _ = datagrams.send_to(b"from there", peer);
        }
    });
    Some(Elsewhere { cookie, port, store: Mutex::new(store) })
}

impl Elsewhere {
    /// A socket of this namespace.
    pub(crate) fn socket(&self, domain: i32, kind: i32) -> Option<OwnedFd> {
        let mut store = self.store.lock().unwrap();
        let place =
            store.iter().position(|(its_domain, its_kind, _)| (*its_domain, *its_kind) == (domain, kind))?;
        Some(store.remove(place).2)
    }
}

fn fresh(domain: i32, kind: i32) -> OwnedFd {
    // SAFETY: the call takes three numbers.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0);
    // SAFETY: the descriptor is fresh, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `SO_NETNS_COOKIE`.
fn cookie(socket: &OwnedFd) -> u64 {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap();
    let place = (&raw mut cookie).cast();
    // SAFETY: the value and its length are ours.
    let status =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, 71, place, &raw mut length) };
    assert_eq!(status, 0);
    cookie
}

fn raise_loopback() {
    let socket = fresh(libc::AF_INET, libc::SOCK_DGRAM);
    // SAFETY: all zeroes are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).unwrap();
    // SAFETY: the request is ours.
    assert_eq!(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }, 0);
}
