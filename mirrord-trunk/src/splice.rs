//! Bytes that go from socket to socket by reference: through a pipe of the kernel's, and uncopied (`splice(2)`).
//!
//! It is worth its calls for large pieces only. What has been taken is to be given on before anything else is done:
//! whoever drops a pipe drops that.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// From how many bytes on a piece is large.
pub const LARGE: usize = 16 << 10;

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    mouth: OwnedFd,
    end: OwnedFd,
    n_within: usize,
}

impl Pipe {
    /// An empty one.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (end, mouth) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { mouth, end, n_within: 0 })
    }

    /// Takes at most so many bytes of a socket, without waiting, into the empty pipe; 0 is the socket's end.
    ///
    /// # Errors
    /// The socket's.
    pub fn take(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
        self.n_within += splice(from, None, &self.mouth, None, most, SpliceFlags::NONBLOCK)?;
        Ok(self.n_within)
    }

    /// Gives on as much as a socket takes without a wait, and tells how much.
    ///
    /// # Errors
    /// The socket's.
    pub fn give(&mut self, to: impl AsFd) -> io::Result<usize> {
        let n_given = splice(&self.end, None, to, None, self.n_within, SpliceFlags::NONBLOCK)?;
        self.n_within -= n_given;
        Ok(n_given)
    }

    /// Whether everything that was taken has been given on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_within == 0
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{Ipv4Addr, TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn bytes_go_through_a_pipe_between_sockets_of_both_kinds_unchanged() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (lane, mut far) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(40_000).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let reader = std::thread::spawn(move || {
            let mut seen = Vec::new();
            far.read_to_end(&mut seen).map(|_| seen)
        });
        let mut pipe = Pipe::new().unwrap();
        while pipe.take(&server, 64 << 10).unwrap() > 0 {
            while !pipe.is_empty() {
                pipe.give(&lane).unwrap();
            }
        }
        drop(lane);
        assert!(reader.join().unwrap().unwrap() == sent, "something else has arrived");
    }

    #[test]
    fn a_socket_without_bytes_is_not_waited_for() {
        let (one, _other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let nothing = Pipe::new().unwrap().take(&one, LARGE).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}
