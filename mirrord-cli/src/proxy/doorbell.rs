//! Rings at a guest's listener: a connection from an address by which the guest's layer knows us.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Mutex as AsyncMutex,
};

use super::alive;

/// How often a listener that does not accept is reminded: the least that there is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// As many reminders as can be: that there is no answer means nothing.
const MOST_SIGNS: u32 = 127;

/// How often it is looked whether a full listener has room again.
const GLANCE: Duration = Duration::from_millis(1);

/// How long a connection may take from one socket of this machine to another, unless it is not answered.
const HANDSHAKE: Duration = Duration::from_millis(20);

/// Who rings at each port: one after another, so that nobody takes the room that another has seen.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<HashMap<u16, Arc<AsyncMutex<()>>>>);

impl Doors {
    /// Rings as soon as there is room at the door: whoever rings at a full one is not answered, and would ring again
    /// only after seconds, together with all others. `is_crowded` says that there may be none.
    pub(crate) async fn ring(&self, doorbell: Doorbell, is_crowded: bool) -> io::Result<TcpStream> {
        let port = doorbell.to.port();
        let door = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(port).or_default().clone();
        let turn = door.lock().await;
        while is_crowded && alive::is_full(port).unwrap_or(false) {
            tokio::time::sleep(GLANCE).await;
        }
        let mut ringing = std::pin::pin!(doorbell.ring());
        let rung = tokio::time::timeout(HANDSHAKE, &mut ringing).await;
        drop(turn);
        match rung {
            Ok(rung) => rung,
            Err(_) => ringing.await,
        }
    }
}

/// A connection that is about to be made: its address here is known before anybody can accept it.
#[derive(Debug)]
pub(crate) struct Doorbell {
    socket: TcpSocket,
    /// Our end.
    pub(crate) from: SocketAddr,
    to: SocketAddr,
}

impl Doorbell {
    /// A socket at the right address for a listener.
    pub(crate) fn new(ours: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let (socket, from) = match to {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::V4(ours)),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::V6(Ipv6Addr::LOCALHOST)),
        };
        socket.bind(SocketAddr::new(from, 0))?;
        // A listener whose queue is full may forget whom it has answered already. Nobody speaks here, so that only a
        // sign of life tells it again that we are there, or tells us that it does not know us any more.
        socket.set_keepalive(true)?;
        sockopt::set_tcp_keepidle(&socket, SIGN_OF_LIFE)?;
        sockopt::set_tcp_keepintvl(&socket, SIGN_OF_LIFE)?;
        sockopt::set_tcp_keepcnt(&socket, MOST_SIGNS)?;
        let from = socket.local_addr()?;
        Ok(Self { socket, from, to })
    }

    /// Rings.
    async fn ring(self) -> io::Result<TcpStream> {
        let stream = self.socket.connect(self.to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Where a listener that stands at `bound` can be reached, the likeliest first.
pub(crate) fn places(bound: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: IpAddr| SocketAddr::new(ip, bound.port());
    let (v4, v6) = (at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into()));
    match bound.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        // Most listeners of this kind take IPv4, too, and from there we are known at once.
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v4, v6],
        ip => vec![at(ip)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_loopback() {
        let places = |bound: &str| places(bound.parse().unwrap());
        assert_eq!(places("0.0.0.0:80"), ["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(places("[::]:80"), ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]);
        assert_eq!(places("10.1.2.3:80"), ["10.1.2.3:80".parse().unwrap()]);
    }
}
