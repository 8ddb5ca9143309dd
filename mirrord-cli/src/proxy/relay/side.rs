//! What is given on to a socket of a relay, whole.

use std::io;

use mirrord_trunk::{socket::Socket, splice::Pipe};
use tokio::io::Interest;

/// Gives on all that a pipe has.
pub(super) async fn give_all(pipe: &mut Pipe, to: &impl Socket) -> io::Result<()> {
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
pub(super) async fn write_all(to: &impl Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(n_written) => bytes = &bytes[n_written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
