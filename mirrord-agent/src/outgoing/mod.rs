//! Connections that begin where the target stands.

pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod unix;

use std::{io, net::SocketAddr, os::fd::OwnedFd, sync::Arc};

use mirrord_protocol::{
    agent::{
        LaneOpen,
        outgoing::{ConnectCall, Connected, Destination, SocketCall, UnixCall, UnixName},
    },
    fault::Fault,
    id::{ArrivalId, ClientId},
};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use tokio::net::UnixStream;

use crate::{
    agent::{Agent, answer},
    incoming::Taken,
    link::LaneReader,
    rights::Deed,
    session::by_hand,
};

/// A socket of the target's network namespace, for somebody else to connect.
///
/// # Errors
/// The kernel's; `EAFNOSUPPORT` and `ESOCKTNOSUPPORT` for what is never made.
pub(crate) fn socket(call: SocketCall) -> Result<OwnedFd, Fault> {
    let domain = match call.domain {
        libc::AF_INET => AddressFamily::INET,
        libc::AF_INET6 => AddressFamily::INET6,
        _ => return Err(Fault::os(libc::EAFNOSUPPORT)),
    };
    let kind = match call.kind {
        libc::SOCK_STREAM => SocketType::STREAM,
        libc::SOCK_DGRAM => SocketType::DGRAM,
        _ => return Err(Fault::os(libc::ESOCKTNOSUPPORT)),
    };
    let protocol = u32::try_from(call.protocol).map_err(|_| Fault::os(libc::EINVAL))?;
    let protocol = std::num::NonZeroU32::new(protocol).map(Protocol::from_raw);
    rustix::net::socket_with(domain, kind, SocketFlags::CLOEXEC, protocol)
        .map_err(|errno| Fault::from(io::Error::from(errno)))
}

/// Serves a lane of bytes or datagrams until it ends.
pub(crate) async fn lane(
    agent: &Arc<Agent>,
    client: ClientId,
    lane: &Arc<UnixStream>,
    reader: LaneReader,
    opened: LaneOpen,
) {
    let outcome = match opened {
        // Both are served elsewhere.
        LaneOpen::Control(_) | LaneOpen::Calls(_) => Ok(()),
        LaneOpen::Connect(_, ConnectCall { to: Destination::Tcp(to) }) => {
            match agent.target.permit(Deed::Reach) {
                Ok(()) => connect_tcp(lane, reader, to).await,
                Err(fault) => answer(lane, &Err::<Connected, _>(fault)).await,
            }
        }
        LaneOpen::Connect(_, ConnectCall { to: Destination::Unix(name) }) => {
            connect_unix(agent, lane, reader, name).await
        }
        LaneOpen::Datagrams(_, call) => {
            let bound = agent.target.permit(Deed::Reach).and_then(|()| {
                let socket = udp::bind(call)?;
                Ok((socket.local_addr()?, socket))
            });
            match bound {
                Ok((local, socket)) => {
                    let connected = Connected { local: Some(local) };
                    let told = answer(lane, &Ok::<_, Fault>(connected)).await;
                    if told.is_ok() {
                        udp::carry(lane, reader, &socket).await;
                    }
                    told
                }
                Err(fault) => answer(lane, &Err::<Connected, _>(fault)).await,
            }
        }
        LaneOpen::Arrival(_, id) => arrival(agent, client, lane, reader, id).await,
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a lane ends before its answer");
    }
}

async fn connect_tcp(lane: &Arc<UnixStream>, mut reader: LaneReader, to: SocketAddr) -> io::Result<()> {
    let connected = tokio::select! {
        connected = tcp::connect(to) => connected,
        () = gone(&mut reader) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    match connected {
        Ok(socket) => {
            let connected = Connected { local: socket.local_addr().ok() };
            answer(lane, &Ok::<_, Fault>(connected)).await?;
            stream::carry(lane, reader.into_rest(), socket).await;
            Ok(())
        }
        Err(error) => answer(lane, &Err::<Connected, _>(Fault::from(error))).await,
    }
}

async fn connect_unix(
    agent: &Arc<Agent>,
    lane: &Arc<UnixStream>,
    reader: LaneReader,
    name: UnixName,
) -> io::Result<()> {
    let call = UnixCall { name, kind: libc::SOCK_STREAM };
    let connected = by_hand(agent, move |agent| unix::connect(&agent.target, &call)).await;
    let socket = connected.and_then(|socket| {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(UnixStream::from_std(socket)?)
    });
    match socket {
        Ok(socket) => {
            answer(lane, &Ok::<_, Fault>(Connected { local: None })).await?;
            stream::carry(lane, reader.into_rest(), socket).await;
            Ok(())
        }
        Err(fault) => answer(lane, &Err::<Connected, _>(fault)).await,
    }
}

async fn arrival(
    agent: &Arc<Agent>,
    client: ClientId,
    lane: &Arc<UnixStream>,
    reader: LaneReader,
    id: ArrivalId,
) -> io::Result<()> {
    match agent.incoming.take_arrival(client, id).await {
        Ok(taken) => {
            answer(lane, &Ok::<(), Fault>(())).await?;
            match taken {
                Taken::Stolen(socket) => stream::carry(lane, reader.into_rest(), socket).await,
                Taken::Mirrored(hearing) => stream::hear(lane, hearing).await,
            }
            Ok(())
        }
        Err(fault) => answer(lane, &Err::<(), _>(fault)).await,
    }
}

/// Waits until a lane's proxy has gone, while it may be sending the first bytes already.
async fn gone(reader: &mut LaneReader) {
    /// What a proxy may send before it knows that it is connected.
    const MAX_EARLY: usize = 1 << 20;
    loop {
        match reader.fill().await {
            Ok(0) | Err(_) => return,
            Ok(n_waiting) if n_waiting > MAX_EARLY => std::future::pending().await,
            Ok(_) => {}
        }
    }
}
