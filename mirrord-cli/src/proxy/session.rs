//! One session: what a layer asks, and who answers.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use mirrord_core::{
    proxy::listeners::Listener,
    rules::{Rules, mapping::Mapping},
};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall, LaneOpen,
        dns::{DnsAnswer, DnsCall, NoAnswer},
        outgoing::{BindCall, SocketCall, UnixCall, UnixName},
    },
    fault::Fault,
    frame::FrameReader,
    id::SocketInode,
    proxy::{
        FromProxy, ToProxy,
        lineage::Note,
        sockets::{SocketAnswer, SocketQuestion},
    },
};
use tokio::net::UnixStream;

use super::{
    agent::Agent,
    chronicle::{Chronicle, Happening},
    complain::Complaints,
    datagrams::Datagrams,
    files::{Files, nonsense},
    incoming::Incoming,
    lane::read_answer,
    names::Names,
    outgoing::{Connect, Outgoing},
};

/// How long an agent may take over a lane that is to make calls faster.
const LANE_TIME: Duration = Duration::from_secs(5);

/// An answer, and the descriptor that rides along.
pub(crate) type Reply = (FromProxy, Option<OwnedFd>);

/// What answers.
pub(crate) struct Session {
    pub(crate) rules: Rules,
    pub(crate) agent: Agent,
    pub(crate) complaints: Arc<Complaints>,
    pub(crate) chronicle: Arc<Chronicle>,
    pub(crate) mapping: Mapping,
    pub(crate) files: Files,
    pub(crate) names: Names,
    pub(crate) incoming: Arc<Incoming>,
    /// What is relayed, if anything may be.
    pub(crate) relayed: Option<Relayed>,
}

/// Sockets that are relayed: all of the proxied data path, and for a filter of names those of queries.
pub(crate) struct Relayed {
    pub(crate) outgoing: Outgoing,
    pub(crate) datagrams: Datagrams,
}

impl Session {
    /// Answers anything but a hello.
    pub(crate) async fn answer(&self, question: ToProxy, descriptor: Option<OwnedFd>) -> Reply {
        self.chronicle.tell(|| Happening::of(&question));
        let answered = match question {
            ToProxy::Hello(_) => Err(Fault::with_words(libc::EPROTO, "hello is said once")),
            ToProxy::Open { path, flags, mode } => {
                self.files.open(path, flags, mode).await.map(|object| (FromProxy::Object, Some(object)))
            }
            ToProxy::Fs(call) => self.files.call(call).await.map(|answer| (FromProxy::Fs(answer), None)),
            ToProxy::Look { path, follow, n_more } => {
                let looked = self.files.look(path, follow, n_more).await;
                looked.map(|looked| (FromProxy::Looked(looked), None))
            }
            ToProxy::Map(path) => Ok((FromProxy::Path(GuestPath(self.mapping.apply(path.as_bytes()))), None)),
            ToProxy::Dns(call) => self.resolve(call).await.map(|answer| (FromProxy::Dns(answer), None)),
            ToProxy::Socket(question) => self
                .socket(question, descriptor)
                .await
                .map(|(answer, descriptor)| (FromProxy::Socket(answer), descriptor)),
            ToProxy::Ping => {
                self.agent.call(AgentCall::Ping, None).await.map(|_pong| (FromProxy::Done, None))
            }
            ToProxy::Lane => self.lane().await.map(|lane| (FromProxy::Object, Some(lane))),
            ToProxy::Note(note) => {
                match note {
                    Note::Trace(text) => tracing::debug!(target: "layer", "{text}"),
                    Note::Warning(text) => {
                        tracing::warn!(target: "layer", "{text}");
                        self.complaints.tell(&text);
                    }
                }
                Ok((FromProxy::Done, None))
            }
        };
        answered.unwrap_or_else(|fault| (FromProxy::Failed(fault), None))
    }

    /// A lane on which a guest's thread asks the agent itself, where nothing of ours lies between.
    async fn lane(&self) -> Result<OwnedFd, Fault> {
        let Files::Passed(agent) = &self.files else {
            return Err(Fault::with_words(libc::EOPNOTSUPP, "descriptors are not passed in this session"));
        };
        let mut lane = UnixStream::from_std(agent.open_lane(LaneOpen::Calls).await?)?;
        let mut reader = FrameReader::default();
        let answered = tokio::time::timeout(LANE_TIME, read_answer::<()>(&mut lane, &mut reader)).await;
        answered.unwrap_or_else(|_| Err(Fault::os(libc::ETIMEDOUT)))?;
        let lane = lane.into_std()?;
        lane.set_nonblocking(false)?;
        Ok(lane.into())
    }

    async fn resolve(&self, call: DnsCall) -> Result<DnsAnswer, Fault> {
        let name = match &call {
            DnsCall::Resolve { name, .. } => Some(name.clone()),
            _ => None,
        };
        match self.agent.call(AgentCall::Dns(call), None).await {
            Ok((AgentAnswer::Dns(answer), _)) => {
                if let (Some(name), DnsAnswer::Addresses { addresses, .. }) = (name, &answer) {
                    self.names.record(&self.rules, &name, addresses);
                }
                Ok(answer)
            }
            Ok(_) => Err(nonsense()),
            // Names without a network are asked again later.
            Err(fault) if fault.errno == libc::ENETDOWN => Ok(DnsAnswer::None(NoAnswer::TryAgain)),
            Err(fault) => Err(fault),
        }
    }

    async fn socket(
        &self,
        question: SocketQuestion,
        descriptor: Option<OwnedFd>,
    ) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        let answer = match question {
            SocketQuestion::Make { domain, kind, protocol } => {
                let call = AgentCall::Socket(SocketCall { domain, kind, protocol });
                return self.made(call).await;
            }
            SocketQuestion::Unix { name, kind } => return self.unix(name, kind).await,
            SocketQuestion::BindUnix { path, mode } => {
                let call = AgentCall::BindUnix(BindCall { path, mode });
                match self.agent.call(call, descriptor).await? {
                    (AgentAnswer::Done, _) => SocketAnswer::Done,
                    _ => return Err(nonsense()),
                }
            }
            SocketQuestion::Judge { datagram, to } => {
                let there = self.names.judge(&self.rules, &self.agent, datagram, to).await;
                SocketAnswer::Judged { there }
            }
            SocketQuestion::Listen { inode, requested, bound } => {
                self.incoming.listen(Listener { inode, requested, bound }).await
            }
            SocketQuestion::Accepted { inode, from, .. } => return Ok(self.incoming.accepted(inode, from)),
            SocketQuestion::Bound { inode, requested, .. } => {
                self.incoming.record_bound(inode, requested);
                SocketAnswer::Done
            }
            SocketQuestion::StolenAddresses { peer, .. } => self.incoming.stolen_addresses(peer),
            SocketQuestion::Addresses(inode) => self.addresses(inode).await,
            SocketQuestion::StreamRelay => SocketAnswer::Relay(self.relayed()?.outgoing.address()),
            SocketQuestion::Connect { inode, from, to, n_plugged, send_buffer, wait } => {
                let outgoing = &self.relayed()?.outgoing;
                outgoing.connect(Connect { inode, from, to, n_plugged, send_buffer, guest: descriptor });
                if wait { outgoing.outcome(inode).await? } else { SocketAnswer::Done }
            }
            SocketQuestion::Outcome(inode) => self.relayed()?.outgoing.outcome(inode).await?,
            SocketQuestion::DatagramRelay { inode, from, to } => {
                self.relayed()?.datagrams.relay(inode, from, to, descriptor).await?
            }
            SocketQuestion::DatagramSource { inode, from } => {
                self.relayed()?.datagrams.source(inode, from).await
            }
        };
        Ok((answer, None))
    }

    fn relayed(&self) -> Result<&Relayed, Fault> {
        let words = "this session's sockets are passed";
        self.relayed.as_ref().ok_or_else(|| Fault::with_words(libc::EINVAL, words))
    }

    async fn unix(&self, name: UnixName, kind: i32) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        if let Files::Passed(_) = self.files {
            return self.made(AgentCall::UnixSocket(UnixCall { name, kind })).await;
        }
        let socket = self.relayed()?.outgoing.unix(name, kind).await?;
        Ok((SocketAnswer::Made, Some(socket)))
    }

    async fn addresses(&self, inode: SocketInode) -> SocketAnswer {
        if let Some(answer) = self.incoming.addresses(inode) {
            return answer;
        }
        let Some(relayed) = &self.relayed else { return SocketAnswer::Unknown };
        if let Some(answer) = relayed.outgoing.addresses(inode) {
            return answer;
        }
        relayed.datagrams.addresses(inode).await.unwrap_or(SocketAnswer::Unknown)
    }

    async fn made(&self, call: AgentCall) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        match self.agent.call(call, None).await? {
            (AgentAnswer::Done, Some(socket)) => Ok((SocketAnswer::Made, Some(socket))),
            _ => Err(nonsense()),
        }
    }
}
