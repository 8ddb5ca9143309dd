//! TCP connections from the target.

use std::{io, net::SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// Connects; how long that may take is the kernel's affair.
///
/// # Errors
/// The kernel's.
pub(crate) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let stream = socket.connect(to).await?;
    // What the guest has written was written at once: when it waits for more, it does so itself.
    stream.set_nodelay(true)?;
    Ok(stream)
}
