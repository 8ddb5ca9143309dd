//! One session: what a layer asks, and who answers.

use std::{os::fd::OwnedFd, sync::Arc};

use mirrord_core::{
    proxy::listeners::Listener,
    rules::{Rules, mapping::Mapping},
};
use mirrord_protocol::{
    GuestPath,
    agent::{
        AgentAnswer, AgentCall,
        dns::{DnsAnswer, DnsCall, NoAnswer},
        outgoing::{SocketCall, UnixCall},
    },
    fault::Fault,
    proxy::{
        FromProxy, ToProxy,
        lineage::Note,
        sockets::{SocketAnswer, SocketQuestion},
    },
};

use super::{
    agent::Agent,
    files::{Files, nonsense},
    incoming::Incoming,
    names::Names,
};

/// An answer, and the descriptor that rides along.
pub(crate) type Reply = (FromProxy, Option<OwnedFd>);

/// What answers.
pub(crate) struct Session {
    pub(crate) rules: Rules,
    pub(crate) agent: Agent,
    pub(crate) mapping: Mapping,
    pub(crate) files: Files,
    pub(crate) names: Names,
    pub(crate) incoming: Arc<Incoming>,
}

impl Session {
    /// Answers anything but a hello.
    pub(crate) async fn answer(&self, question: ToProxy, descriptor: Option<OwnedFd>) -> Reply {
        let answered = match question {
            ToProxy::Hello(_) => Err(Fault::with_words(libc::EPROTO, "hello is said once")),
            ToProxy::Open { path, flags, mode } => {
                self.files.open(path, flags, mode).await.map(|object| (FromProxy::Object, Some(object)))
            }
            ToProxy::Fs(call) => self.files.call(call).await.map(|answer| (FromProxy::Fs(answer), None)),
            ToProxy::Map(path) => Ok((FromProxy::Path(GuestPath(self.mapping.apply(path.as_bytes()))), None)),
            ToProxy::Dns(call) => self.resolve(call).await.map(|answer| (FromProxy::Dns(answer), None)),
            ToProxy::Socket(question) => self
                .socket(question, descriptor)
                .await
                .map(|(answer, descriptor)| (FromProxy::Socket(answer), descriptor)),
            ToProxy::Note(note) => {
                match note {
                    Note::Trace(text) => tracing::debug!(target: "layer", "{text}"),
                    Note::Warning(text) => tracing::warn!(target: "layer", "{text}"),
                }
                Ok((FromProxy::Done, None))
            }
        };
        answered.unwrap_or_else(|fault| (FromProxy::Failed(fault), None))
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
        _descriptor: Option<OwnedFd>,
    ) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        let answer = match question {
            SocketQuestion::Make { domain, kind, protocol } => {
                let call = AgentCall::Socket(SocketCall { domain, kind, protocol });
                return self.made(call).await;
            }
            SocketQuestion::Unix { name, kind } => {
                return self.made(AgentCall::UnixSocket(UnixCall { name, kind })).await;
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
            SocketQuestion::Addresses(inode) => {
                self.incoming.addresses(inode).unwrap_or(SocketAnswer::Unknown)
            }
            SocketQuestion::StreamRelay
            | SocketQuestion::Connect { .. }
            | SocketQuestion::Outcome(_)
            | SocketQuestion::DatagramRelay { .. }
            | SocketQuestion::DatagramSource { .. } => return Err(Fault::os(libc::ENOSYS)),
        };
        Ok((answer, None))
    }

    async fn made(&self, call: AgentCall) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        match self.agent.call(call, None).await? {
            (AgentAnswer::Done, Some(socket)) => Ok((SocketAnswer::Made, Some(socket))),
            _ => Err(nonsense()),
        }
    }
}
