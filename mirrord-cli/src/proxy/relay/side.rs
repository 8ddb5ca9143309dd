//! Sockets of a relay, of both kinds: none of their calls waits in the kernel.

use std::{io, os::fd::AsFd};

use mirrord_trunk::splice::Pipe;
use rustix::net::RecvFlags;
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

/// A socket whose calls do not wait.
pub(super) trait Side: AsFd {
    async fn readable(&self) -> io::Result<()>;
    async fn writable(&self) -> io::Result<()>;
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Reads. If less came than there was room for, the kernel is not asked again before there is more.
    fn try_take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut few = None;
        let outcome = self.try_do(Interest::READABLE, || {
            let (n_read, _) = rustix::net::recv(self, &mut *buffer, RecvFlags::DONTWAIT)?;
            if (1..buffer.len()).contains(&n_read) {
                few = Some(n_read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(n_read)
        });
        few.map_or(outcome, Ok)
    }
    /// Does something else that reads or writes.
    fn try_do(&self, what: Interest, deed: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;
}

macro_rules! side {
    ($socket:ty) => {
        impl Side for $socket {
            async fn readable(&self) -> io::Result<()> {
                <$socket>::readable(self).await
            }

            async fn writable(&self) -> io::Result<()> {
                <$socket>::writable(self).await
            }

            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                <$socket>::try_write(self, bytes)
            }

            fn try_do(&self, what: Interest, deed: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
                <$socket>::try_io(self, what, deed)
            }
        }
    };
}

side!(TcpStream);
side!(UnixStream);

/// Gives on all that a pipe has.
pub(super) async fn give_all(pipe: &mut Pipe, to: &impl Side) -> io::Result<()> {
    while !pipe.is_empty() {
        match to.try_do(Interest::WRITABLE, || pipe.give(to)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all.
pub(super) async fn write_all(to: &impl Side, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(n_written) => bytes = &bytes[n_written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
