//! Where lanes come in: through the socket of the proxy that has started us, or through our port.

use std::{io, sync::Arc, time::Duration};

use mirrord_trunk::{Far, FarEvent, FarOptions, Parting, TrunkId};
use tokio::{net::UnixStream, sync::mpsc, task::JoinSet};

use crate::{
    lanes::{Arriving, Lanes},
    listen::Port,
    origin::{Origin, OriginId},
};

/// A door that nobody waits at yet.
#[derive(Debug)]
pub(crate) enum Closed {
    /// Descriptor 3.
    Inherited(Lanes),
    /// A port, and how long whoever is cut off may take to come back.
    Port(Port, Duration),
}

/// A door, within a runtime.
#[derive(Debug)]
pub(crate) enum Door {
    /// One proxy, whose end is the door's.
    Inherited(Arriving, Arc<Origin>),
    /// As many as come.
    Port(Box<Trunks>),
}

/// The trunks of an agent that listens.
#[derive(Debug)]
pub(crate) struct Trunks {
    far: Far,
    events: mpsc::UnboundedReceiver<FarEvent>,
    accepting: JoinSet<()>,
    living: Vec<(TrunkId, Arc<Origin>)>,
    last: OriginId,
}

/// What happens at the door.
#[derive(Debug)]
pub(crate) enum Knock {
    /// A new lane.
    Lane(Arc<Origin>, UnixStream),
    /// A proxy is cut off.
    Away(Arc<Origin>),
    /// It is there again.
    Back(Arc<Origin>),
    /// It is gone.
    Ended(Arc<Origin>, Parting),
    /// The proxy that has started us is gone, and nobody else ever comes.
    Closed(Parting),
}

impl Closed {
    /// Opens it, and says so to whoever waits for it. Must be called within a runtime.
    ///
    /// # Errors
    /// When the kernel does not let us wait, or nobody can be told.
    pub(crate) fn open(self) -> io::Result<Door> {
        Ok(match self {
            Self::Inherited(lanes) => {
                Door::Inherited(lanes.arriving()?, Arc::new(Origin::new(OriginId::default(), true)))
            }
            Self::Port(port, patience) => {
                let (far, events) = Far::new(FarOptions { patience });
                port.tell()?;
                let accepting = port.serve(&far)?;
                let last = OriginId::default();
                Door::Port(Box::new(Trunks { far, events, accepting, living: Vec::new(), last }))
            }
        })
    }
}

impl Door {
    /// The next thing that happens. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Knock {
        match self {
            Self::Inherited(arriving, origin) => match arriving.next().await {
                Ok(Some(lane)) => Knock::Lane(origin.clone(), lane),
                Ok(None) => {
                    let how = if arriving.has_parted() { Parting::InOrder } else { Parting::Suddenly };
                    origin.leave(how);
                    Knock::Closed(how)
                }
                Err(error) => {
                    tracing::warn!(%error, "no lane comes any more");
                    origin.leave(Parting::Suddenly);
                    Knock::Closed(Parting::Suddenly)
                }
            },
            Self::Port(trunks) => trunks.next().await,
        }
    }

    /// How many proxies may come and go. Without a port it is the one that has started us.
    pub(crate) fn is_port(&self) -> bool {
        matches!(self, Self::Port(_))
    }

    /// Lets nobody else in, so that whoever comes now learns at once that there is no agent.
    pub(crate) fn shut(&mut self) {
        if let Self::Port(trunks) = self {
            trunks.accepting.abort_all();
        }
    }

    /// Lets everybody hear what was said to the end, and closes.
    pub(crate) async fn close(self) {
        if let Self::Port(trunks) = self {
            trunks.far.shutdown().await;
        }
    }
}

impl Trunks {
    async fn next(&mut self) -> Knock {
        loop {
            let Some(event) = self.events.recv().await else { return Knock::Closed(Parting::Suddenly) };
            match event {
                FarEvent::Lane(trunk, lane) => return Knock::Lane(self.origin(trunk), lane),
                FarEvent::Away(trunk) => {
                    if let Some(origin) = self.known(trunk) {
                        return Knock::Away(origin);
                    }
                }
                FarEvent::Back(trunk) => {
                    if let Some(origin) = self.known(trunk) {
                        return Knock::Back(origin);
                    }
                }
                FarEvent::Ended(trunk, how) => {
                    if let Some(origin) = self.known(trunk) {
                        self.living.retain(|(living, _)| *living != trunk);
                        origin.leave(how);
                        return Knock::Ended(origin, how);
                    }
                }
            }
        }
    }

    fn known(&self, trunk: TrunkId) -> Option<Arc<Origin>> {
        self.living.iter().find(|(living, _)| *living == trunk).map(|(_, origin)| origin.clone())
    }

    fn origin(&mut self, trunk: TrunkId) -> Arc<Origin> {
        self.known(trunk).unwrap_or_else(|| {
            self.last = OriginId(self.last.0 + 1);
            let origin = Arc::new(Origin::new(self.last, false));
            self.living.push((trunk, origin.clone()));
            origin
        })
    }
}
