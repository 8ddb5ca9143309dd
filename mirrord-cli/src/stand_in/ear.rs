//! An ear at a port of the target: a listener here that stands for it, and whose connections come to it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use mirrord_core::addr;
use mirrord_protocol::{
    fault::Fault,
    proxy::sockets::{SocketAnswer, SocketQuestion},
};
use tokio::net::{TcpListener, TcpStream};

use super::{StandIn, inode};

/// A listener here that stands for a port of the target.
#[derive(Debug)]
pub(crate) struct Ear {
    stand_in: StandIn,
    listener: TcpListener,
}

/// A connection that has come, and waits to be taken. Dropped, the target gets it, as if nobody had listened.
#[derive(Debug)]
pub(crate) struct Knock {
    stand_in: StandIn,
    listener: mirrord_protocol::id::SocketInode,
    bell: TcpStream,
    from: SocketAddr,
}

/// A connection that was taken.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Its bytes.
    pub(crate) stream: TcpStream,
    /// Who connected, where that is known.
    pub(crate) peer: Option<SocketAddr>,
    /// To which address.
    pub(crate) local: Option<SocketAddr>,
}

impl Ear {
    /// None if the session does not get that port's connections; the proxy tells the developer why.
    pub(super) async fn open(stand_in: StandIn, port: u16) -> Result<Option<Self>, Fault> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let number = listener.local_addr()?.port();
        let question = SocketQuestion::Listen {
            inode: inode(&listener)?,
            requested: (Ipv6Addr::UNSPECIFIED, port).into(),
            // Written so, peers of both families are told.
            bound: (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), number).into(),
        };
        match stand_in.socket(question).await? {
            (SocketAnswer::Listening { subscribed: true }, _) => Ok(Some(Self { stand_in, listener })),
            _ => Ok(None),
        }
    }

    /// The next connection.
    pub(crate) async fn next(&self) -> Result<Knock, Fault> {
        loop {
            match self.listener.accept().await {
                Ok((bell, from)) if addr::is_doorbell(from.ip()) => {
                    let (stand_in, listener) = (self.stand_in.clone(), inode(&self.listener)?);
                    return Ok(Knock { stand_in, listener, bell, from });
                }
                // Somebody of this machine, whom nobody has asked.
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Knock {
    /// Takes it.
    pub(crate) async fn take(self) -> Result<Arrived, Fault> {
        let Self { stand_in, listener, bell, from } = self;
        let question = SocketQuestion::Accepted { listener, inode: inode(&bell)?, from };
        match stand_in.socket(question).await? {
            (SocketAnswer::Arrived { peer, local, .. }, Some(real)) => {
                let real = std::net::TcpStream::from(real);
                real.set_nonblocking(true)?;
                let stream = TcpStream::from_std(real)?;
                Ok(Arrived { stream, peer: Some(peer), local: Some(local) })
            }
            (SocketAnswer::Arrived { peer, local, .. }, None) => {
                Ok(Arrived { stream: bell, peer: Some(peer), local: Some(local) })
            }
            _ => Ok(Arrived { stream: bell, peer: None, local: None }),
        }
    }
}
