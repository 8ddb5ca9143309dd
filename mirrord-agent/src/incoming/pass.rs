//! A redirected connection that nobody here answers, carried to the target's own listener.
//!
//! Bytes, half-closes and resets arrive as what they are. The connection to the target carries a mark that every
//! agent's rules skip, or it would be stolen again.

use std::{io, net::SocketAddr, os::fd::AsRawFd, time::Duration};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::Interest,
    net::{TcpSocket, TcpStream},
    time::Instant,
};

use super::{
    arrive::{Redirected, reset},
    ruleset::PASS_MARK,
};

const BUFFER: usize = 64 << 10;

/// How long a reset waits for the bytes that were sent before it.
const RESET_DELAY: Duration = Duration::from_secs(1);
const RESET_POLL: Duration = Duration::from_millis(2);

/// Carries a connection to the target until both sides have ended it.
pub(super) async fn pass(arrival: Redirected) {
    let Redirected { stream: peer, local, .. } = arrival;
    let target = match connect(local).await {
        Ok(target) => target,
        Err(error) => {
            // What the peer would have met without us: nobody listens there.
            tracing::debug!(%error, %local, "the target does not take a connection that was passed to it");
            return reset(peer);
        }
    };
    // Small writes must not wait for each other a second time.
    let _ = peer.set_nodelay(true);
    let _ = target.set_nodelay(true);
    if carry_both(&peer, &target).await.is_err() {
        tokio::join!(flush(&peer), flush(&target));
        reset(peer);
        reset(target);
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    setsockopt(&socket, sockopt::Mark, &PASS_MARK)?;
    socket.connect(to).await
}

/// Ends well when both directions have been closed, with an error when either side is reset.
async fn carry_both(peer: &TcpStream, target: &TcpStream) -> io::Result<()> {
    let up = carry(peer, target);
    let down = carry(target, peer);
    tokio::pin!(up, down);
    // Whoever has closed is read no longer, so that its reset must be looked for.
    tokio::select! {
        outcome = &mut up => {
            outcome?;
            tokio::select! { outcome = down => outcome, error = broken(peer) => Err(error) }
        }
        outcome = &mut down => {
            outcome?;
            tokio::select! { outcome = up => outcome, error = broken(target) => Err(error) }
        }
    }
}

/// Carries one direction until its end, which it passes on.
async fn carry(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n_read = read(from, &mut buffer).await?;
        if n_read == 0 {
            return shut_down(to);
        }
        write_all(to, &buffer[..n_read]).await?;
    }
}

async fn read(from: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(n_written) => bytes = &bytes[n_written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn shut_down(stream: &TcpStream) -> io::Result<()> {
    nix::sys::socket::shutdown(stream.as_raw_fd(), nix::sys::socket::Shutdown::Write).map_err(Into::into)
}

async fn broken(stream: &TcpStream) -> io::Error {
    match stream.ready(Interest::ERROR).await {
        Ok(_) => io::Error::from_raw_os_error(libc::ECONNRESET),
        Err(error) => error,
    }
}

/// Waits, within a bound, until what was written has reached the other side: a reset overtakes it otherwise.
async fn flush(stream: &TcpStream) {
    let deadline = Instant::now() + RESET_DELAY;
    while n_unsent(stream) > 0 && Instant::now() < deadline {
        tokio::time::sleep(RESET_POLL).await;
    }
}

fn n_unsent(stream: &TcpStream) -> libc::c_int {
    let mut n_bytes = 0;
    // SAFETY: the request writes one integer to the address that it is given.
    let outcome = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut n_bytes) };
    if outcome == 0 { n_bytes } else { 0 }
}
