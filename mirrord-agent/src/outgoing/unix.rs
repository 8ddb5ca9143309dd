//! Unix sockets of the target: by path beneath its root, or by the abstract name of its network namespace.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use mirrord_protocol::{
    agent::outgoing::{BindCall, UnixCall, UnixName},
    fault::Fault,
};
use rustix::{
    fs::Mode,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use crate::{
    fs::{Root, name},
    hands::become_user,
    rights::Deed,
    target::Target,
};

/// How long a connection waits for a place in its listener's queue.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects; it may block, and must run on one of the [`crate::hands`].
///
/// # Errors
/// The kernel's, as the target would see it.
pub(crate) fn connect(target: &Target, call: &UnixCall) -> Result<OwnedFd, Fault> {
    target.permit(match call.name {
        UnixName::Path(_) => Deed::Look,
        UnixName::Abstract(_) => Deed::Reach,
    })?;
    let kind = match call.kind {
        libc::SOCK_STREAM => SocketType::STREAM,
        libc::SOCK_SEQPACKET => SocketType::SEQPACKET,
        libc::SOCK_DGRAM => SocketType::DGRAM,
        _ => return Err(Fault::os(libc::ESOCKTNOSUPPORT)),
    };
    connect_to(target.root(), &call.name, kind).map_err(|errno| Fault::from(io::Error::from(errno)))
}

fn connect_to(root: &Root, name_there: &UnixName, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    match name_there {
        UnixName::Path(path) => {
            // The name leads to what was found beneath the root, wherever a link of the same name may lead by then.
            let found = root.find(path.as_bytes(), true)?;
            connect_patiently(&socket, &SocketAddrUnix::new(name(found.as_fd()))?)?;
        }
        UnixName::Abstract(bytes) => {
            connect_patiently(&socket, &SocketAddrUnix::new_abstract_name(bytes)?)?;
        }
    }
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(socket)
}

/// Binds a guest's socket to a path there; it may block.
///
/// The kernel keeps the name of a socket as it was said, and tells it to whoever asks. So the path must be said by
/// somebody whose root is the target's: a thread of its own, which is the target's user for that.
///
/// # Errors
/// The kernel's, as the target would see it.
pub(crate) fn bind(target: &Target, call: &BindCall, socket: &OwnedFd) -> Result<(), Fault> {
    target.permit(Deed::Look)?;
    let bound = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || bind_there(target, call, socket))?;
        thread.join().unwrap_or(Err(rustix::io::Errno::IO)).map_err(io::Error::from)
    });
    bound.map_err(Fault::from)
}

fn bind_there(target: &Target, call: &BindCall, socket: &OwnedFd) -> rustix::io::Result<()> {
    // From here on its root and its umask are this thread's alone; they end with it.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
        .map_err(|errno| rustix::io::Errno::from_raw_os_error(errno as i32))?;
    target.root().enter()?;
    rustix::process::umask(Mode::from_raw_mode(!call.mode & 0o777));
    if let Some(credentials) = target.credentials() {
        become_user(&credentials);
    }
    rustix::net::bind(socket, &SocketAddrUnix::new(call.path.as_bytes())?)
}

/// A wait with a time-out is never restarted by the kernel (`signal(7)`).
fn connect_patiently(socket: &OwnedFd, to: &SocketAddrUnix) -> rustix::io::Result<()> {
    loop {
        match rustix::net::connect(socket, to) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}
