//! Brings a connection to the guest that listens for it, or back to the target.

use std::{net::SocketAddr, os::fd::OwnedFd, sync::Arc, time::Duration};

use mirrord_core::proxy::listeners::Listener;
use mirrord_protocol::{
    agent::{
        AgentCall, LaneOpen,
        incoming::{Arrival, Wish},
    },
    fault::Fault,
    frame::FrameReader,
};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::oneshot,
    time::Instant,
};

use super::{Incoming, Ringing, lock};
use crate::proxy::{
    chronicle::Happening,
    doorbell::{self, Doorbell},
    lane,
    link::Link,
    relay::{self, Ways},
};

/// How long a listener may leave the bell unanswered before the target gets the connection back.
const PATIENCE: Duration = Duration::from_secs(60);

/// With no more than so many that wait nobody asks whether a listener has room: hardly any has less.
const FEW: usize = 4;

/// How an attempt to deliver ended.
enum Delivery {
    /// The guest has it.
    Done,
    /// Nobody is there.
    Refused(Option<OwnedFd>),
    /// The listener does not know the bell any more: its queue was full, or it is gone.
    Forgotten(Option<OwnedFd>),
}

impl Incoming {
    /// A connection has arrived: to the guest with it, or back.
    pub(crate) async fn deliver(
        self: Arc<Self>,
        link: Link,
        arrival: Arrival,
        mut connection: Option<OwnedFd>,
    ) {
        self.chronicle.tell(|| Some(Happening::arrival(&arrival)));
        // Each attempt that is refused may remove the listener that refused it; the next one may take it.
        let mut refused = None;
        loop {
            let listener = lock(&self.listeners).route(arrival.port, arrival.local);
            let Some(listener) = listener.filter(|listener| refused != Some(listener.inode)) else { break };
            match self.try_at(&link, listener, arrival, connection).await {
                Delivery::Done => return,
                Delivery::Refused(returned) | Delivery::Forgotten(returned) => connection = returned,
            }
            refused = Some(listener.inode);
            self.check_refused(listener.inode).await;
        }
        tracing::debug!(?arrival, "nobody takes a connection; the target gets it");
        drop(link.call(AgentCall::Return(arrival.id), connection).await);
    }

    async fn try_at(
        self: &Arc<Self>,
        link: &Link,
        listener: Listener,
        arrival: Arrival,
        mut connection: Option<OwnedFd>,
    ) -> Delivery {
        let deadline = Instant::now() + PATIENCE;
        let places = doorbell::places(listener.bound);
        let mut at = 0;
        while let Some(place) = places.get(at).copied() {
            at += 1;
            let doorbell = match Doorbell::new(self.doorbell, place) {
                Ok(doorbell) => doorbell,
                Err(error) => {
                    tracing::warn!(%error, %place, "cannot ring");
                    continue;
                }
            };
            let from = doorbell.from;
            let is_foreign = is_foreign(listener, arrival);
            let (accepted_tx, accepted_rx) = oneshot::channel();
            let ringing = Ringing { link: link.clone(), arrival, connection, is_foreign, accepted_tx };
            let is_crowded = {
                let mut all = lock(&self.ringing);
                all.insert(from, ringing);
                all.len() > FEW
            };
            let rung = tokio::time::timeout(PATIENCE, self.doors.ring(doorbell, is_crowded)).await;
            if let Ok(Ok(stream)) = rung {
                match self.wait(link, from, stream, arrival, accepted_rx).await {
                    // Whether it is gone, only ringing again can tell.
                    Delivery::Forgotten(returned) if Instant::now() < deadline => {
                        connection = returned;
                        at -= 1;
                        continue;
                    }
                    delivery => return delivery,
                }
            }
            let ringing = lock(&self.ringing).remove(&from);
            let Some(ringing) = ringing else { return Delivery::Done };
            connection = ringing.connection;
        }
        Delivery::Refused(connection)
    }

    async fn wait(
        self: &Arc<Self>,
        link: &Link,
        from: SocketAddr,
        stream: TcpStream,
        arrival: Arrival,
        mut accepted_rx: oneshot::Receiver<Option<OwnedFd>>,
    ) -> Delivery {
        let mut nothing = [0];
        tokio::select! {
            biased;
            accepted = &mut accepted_rx => if let Ok(connection) = accepted {
                self.begin(link, stream, arrival, connection);
            },
            // Nobody speaks before he has accepted: this is the end of the listener, or of the one who took it.
            heard = stream.peek(&mut nothing) => {
                if let Some(ringing) = lock(&self.ringing).remove(&from) {
                    return match heard {
                        Ok(_) => Delivery::Refused(ringing.connection),
                        Err(_) => Delivery::Forgotten(ringing.connection),
                    };
                }
                if let Ok(connection) = accepted_rx.await {
                    self.begin(link, stream, arrival, connection);
                }
            }
        }
        Delivery::Done
    }

    /// The guest has accepted: what it has is the connection itself, or our end of a relay.
    fn begin(&self, link: &Link, stream: TcpStream, arrival: Arrival, connection: Option<OwnedFd>) {
        match connection {
            Some(connection) => self.relay_passed(stream, connection),
            None if arrival.descriptor => {}
            None => self.relay(link.clone(), stream, arrival),
        }
    }

    fn relay_passed(&self, stream: TcpStream, connection: OwnedFd) {
        let (relays, debt) = (self.relays.clone(), self.relays.owe());
        let connection = std::net::TcpStream::from(connection);
        let (Ok(stream), Ok(())) = (stream.into_std(), connection.set_nonblocking(true)) else { return };
        self.relays.spawn(async move {
            if let (Ok(stream), Ok(connection)) =
                (TcpStream::from_std(stream), TcpStream::from_std(connection))
            {
                drop(connection.set_nodelay(true));
                relays.passed(stream, connection, debt).await;
            }
        });
    }

    fn relay(&self, link: Link, stream: TcpStream, arrival: Arrival) {
        let relays = self.relays.clone();
        let Ok(stream) = stream.into_std() else { return };
        let debt = relays.owe();
        self.relays.spawn(async move {
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let opened = match link.open_lane(|key| LaneOpen::Arrival(key, arrival.id)) {
                Ok(lane) => open(lane).await,
                Err(fault) => Err(fault),
            };
            match opened {
                Ok((lane, reader)) => {
                    let ways = if arrival.wish == Wish::Mirror { Ways::Inward } else { Ways::Both };
                    relays.tcp(stream, lane, &reader.into_rest(), ways, debt).await;
                }
                Err(fault) => {
                    tracing::warn!(?arrival, %fault, "an accepted connection is gone");
                    relay::reset(stream).await;
                }
            }
        });
    }
}

/// Whether a peer's address cannot be told to the guest that listens.
fn is_foreign(listener: Listener, arrival: Arrival) -> bool {
    listener.bound.is_ipv4() && arrival.peer.ip().to_canonical().is_ipv6()
}

async fn open(lane: std::os::unix::net::UnixStream) -> Result<(UnixStream, FrameReader), Fault> {
    let mut lane = UnixStream::from_std(lane)?;
    let mut reader = FrameReader::default();
    lane::read_answer::<()>(&mut lane, &mut reader).await?;
    Ok((lane, reader))
}
