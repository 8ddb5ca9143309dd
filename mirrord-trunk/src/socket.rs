//! Sockets of streams, of both kinds: none of their calls waits in the kernel.

use std::{io, os::fd::AsFd};

use rustix::net::RecvFlags;
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

/// A stream's socket whose calls do not wait.
pub trait Socket: AsFd {
    /// Waits until there may be something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until there may be room.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes what there is room for.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` where there is no room.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Does something else that reads or writes.
    ///
    /// # Errors
    /// The deed's; `WouldBlock` also where it is known to have nothing to do.
    fn try_do(&self, what: Interest, deed: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Reads. If less came than there was room for, the kernel is not asked again before there is more.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` where there is nothing to read.
    fn try_take(&self, place: &mut [u8]) -> io::Result<usize> {
        let mut few = None;
        let outcome = self.try_do(Interest::READABLE, || {
            let (n_read, _) = rustix::net::recv(self, &mut *place, RecvFlags::DONTWAIT)?;
            if (1..place.len()).contains(&n_read) {
                few = Some(n_read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(n_read)
        });
        few.map_or(outcome, Ok)
    }
}

macro_rules! socket {
    ($socket:ty) => {
        impl Socket for $socket {
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

socket!(TcpStream);
socket!(UnixStream);
