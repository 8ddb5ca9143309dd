//! The stand-in: a command that takes the guest's part itself, and asks the proxy as a layer would.
//!
//! So a command without a guest reaches everything that guests reach, by the one way that there is: whatever the proxy
//! does for guests (several pods, agents that come again, what the developer is told) it does for the command.

mod ear;
mod line;
mod session;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
};

use mirrord_config::handoff::DataPath;
use mirrord_core::addr;
use mirrord_protocol::{
    agent::dns::{DnsAnswer, DnsCall, Family, NoAnswer},
    fault::Fault,
    id::SocketInode,
    proxy::{
        FromProxy, ToProxy,
        sockets::{SocketAnswer, SocketQuestion},
    },
};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) use ear::{Arrived, Ear, Knock};
pub(crate) use line::Line;
pub(crate) use session::{begin, run};

/// A guest's part in a session. Clones play the same part.
#[derive(Clone, Debug)]
pub(crate) struct StandIn {
    address: String,
    data_path: DataPath,
}

impl StandIn {
    /// Another line to the proxy: one question at a time goes through each.
    pub(crate) async fn line(&self) -> Result<Line, Fault> {
        Line::open(&self.address).await
    }

    /// The addresses of a name, as the target has them; IPv4 first.
    pub(crate) async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let call = DnsCall::Resolve { name: host.to_owned(), family: Family::Any };
        let mut addresses = match self.line().await?.ask(&ToProxy::Dns(call)).await? {
            (FromProxy::Dns(DnsAnswer::Addresses { addresses, .. }), _) => addresses,
            (FromProxy::Dns(DnsAnswer::None(why)), _) => {
                let words = match why {
                    NoAnswer::NotFound | NoAnswer::NoData => "there is no such name there",
                    NoAnswer::TryAgain => "the name servers there do not answer",
                    NoAnswer::Failed => "the name servers there fail",
                };
                return Err(Fault::with_words(libc::EHOSTUNREACH, words));
            }
            _ => return Err(nonsense()),
        };
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }

    /// Connects from where the target stands.
    pub(crate) async fn connect(&self, to: SocketAddr) -> Result<TcpStream, Fault> {
        match self.data_path {
            DataPath::Passed => self.connect_passed(to).await,
            DataPath::Proxied => self.connect_proxied(to).await,
        }
    }

    async fn connect_passed(&self, to: SocketAddr) -> Result<TcpStream, Fault> {
        let domain = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let question = SocketQuestion::Make { domain, kind: libc::SOCK_STREAM, protocol: 0 };
        let (SocketAnswer::Made, Some(socket)) = self.socket(question).await? else {
            return Err(nonsense());
        };
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(TcpSocket::from_std_stream(socket).connect(to).await?)
    }

    async fn connect_proxied(&self, to: SocketAddr) -> Result<TcpStream, Fault> {
        let mut line = self.line().await?;
        let (SocketAnswer::Relay(relay), _) = line.socket(SocketQuestion::StreamRelay).await? else {
            return Err(nonsense());
        };
        let stream = TcpStream::connect(relay).await?;
        let question = SocketQuestion::Connect {
            inode: inode(&stream)?,
            from: addr::plain(stream.local_addr()?),
            to,
            n_plugged: 0,
            send_buffer: None,
            wait: true,
        };
        match line.socket(question).await? {
            (SocketAnswer::Connected, _) => Ok(stream),
            _ => Err(nonsense()),
        }
    }

    /// Hears of the connections to a port of the target, if the rules of the session want that.
    pub(crate) async fn listen(&self, port: u16) -> Result<Option<Ear>, Fault> {
        Ear::open(self.clone(), port).await
    }

    /// Waits until the session has lost its agent for good.
    pub(crate) async fn lost(&self) -> Fault {
        let mut line = match self.line().await {
            Ok(line) => line,
            Err(fault) => return fault,
        };
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            if let Err(fault) = line.ask(&ToProxy::Ping).await {
                return fault;
            }
        }
    }

    async fn socket(&self, question: SocketQuestion) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        self.line().await?.socket(question).await
    }
}

/// How often a sign of life is asked for.
const PULSE: std::time::Duration = std::time::Duration::from_secs(1);

/// The number by which the kernel knows a socket.
fn inode(socket: impl AsFd) -> io::Result<SocketInode> {
    Ok(SocketInode(rustix::fs::fstat(socket)?.st_ino))
}

fn nonsense() -> Fault {
    Fault::with_words(libc::EPROTO, "the proxy answered something else")
}
