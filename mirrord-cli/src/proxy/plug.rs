//! The plug: holds a connect in progress that loopback has long completed (DESIGN 2).

use std::{io, os::fd::AsFd, os::fd::AsRawFd};

use nix::errno::Errno;
use tokio::{io::AsyncReadExt, net::TcpStream};

/// A receive buffer for a stream that flows, until automatic tuning finds a better one.
const FLOWING: i32 = 212_992;

const INT: libc::socklen_t = 4;

/// Not in every libc yet.
const SO_BUF_LOCK: i32 = 72;

/// Prepares a listener, before it listens: the first window is tiny, yet full window scaling is offered.
pub(crate) fn prepare_listener(listener: impl AsFd) -> io::Result<()> {
    set(&listener, libc::SO_RCVBUF, 1)?;
    set(&listener, SO_BUF_LOCK, 0)
}

/// Keeps the window of an accepted connection shut, whatever comes.
pub(crate) fn shut(accepted: impl AsFd) -> io::Result<()> {
    set(&accepted, libc::SO_RCVBUF, 1)
}

/// Pulls the plug: both ends get their buffers back, and what the guest's end was stuffed with is dropped.
///
/// `guest` is a duplicate of the guest's end; `send_buffer` is what the guest itself had set.
pub(crate) async fn pull(
    accepted: &mut TcpStream,
    n_plugged: u32,
    guest: Option<&(impl AsFd + Sync)>,
    send_buffer: Option<u32>,
) -> io::Result<()> {
    set(&accepted, libc::SO_RCVBUF, FLOWING)?;
    set(&accepted, SO_BUF_LOCK, 0)?;
    if let Some(guest) = guest {
        let wanted = send_buffer.map_or(FLOWING, |size| i32::try_from(size).unwrap_or(i32::MAX));
        set(guest, libc::SO_SNDBUF, wanted)?;
        if send_buffer.is_none() {
            set(guest, SO_BUF_LOCK, 0)?;
        }
    }
    let mut buffer = [0; 4096];
    let mut n_left = n_plugged as usize;
    while n_left > 0 {
        let most = n_left.min(buffer.len());
        match accepted.read(&mut buffer[..most]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n_read => n_left -= n_read,
        }
    }
    Ok(())
}

fn set(socket: impl AsFd, option: i32, value: i32) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one int from where the pointer points.
    let result =
        unsafe { libc::setsockopt(descriptor, libc::SOL_SOCKET, option, (&raw const value).cast(), INT) };
    Ok(Errno::result(result).map(drop)?)
}
