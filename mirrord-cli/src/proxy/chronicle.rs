//! What happens in a session, for whoever listens at its socket (`/events`).

use std::net::SocketAddr;

use mirrord_core::rules::incoming::Subscription;
use mirrord_protocol::{
    GuestPath,
    agent::{
        dns::DnsCall,
        fs::FsCall,
        incoming::{Arrival, Wish},
    },
    proxy::{ToProxy, sockets::SocketQuestion},
};
use serde::Serialize;
use tokio::sync::broadcast;

/// How many happenings a slow listener may be behind.
const KEPT: usize = 1024;

/// One happening, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all_fields = "snake_case")]
pub(crate) enum Happening {
    /// The first layer of a process has come.
    LayerConnected { pid: i32 },
    /// The last one has gone.
    LayerDisconnected { pid: i32 },
    /// A call by path, which goes there.
    FileOp { operation: &'static str, path: String },
    /// A name is asked there.
    DnsQuery { name: String },
    /// A connection begins there, or datagrams do.
    OutgoingConnection { protocol: &'static str, address: SocketAddr },
    /// A port there is taken, or could not be.
    PortSubscription { port: u16, mode: &'static str, subscribed: bool },
    /// A connection has come to such a port.
    IncomingConnection { port: u16, peer: SocketAddr },
    /// The listener was too slow to hear so many.
    Missed { count: u64 },
}

/// Tells whoever listens.
#[derive(Debug)]
pub(crate) struct Chronicle(broadcast::Sender<Happening>);

impl Default for Chronicle {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Chronicle {
    /// Tells a happening, which is made only if somebody listens.
    pub(crate) fn tell(&self, happening: impl FnOnce() -> Option<Happening>) {
        if self.0.receiver_count() > 0
            && let Some(happening) = happening()
        {
            // Whoever listened has just gone.
            drop(self.0.send(happening));
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Happening> {
        self.0.subscribe()
    }
}

impl Happening {
    /// What a question is about, if that is worth telling.
    pub(crate) fn of(question: &ToProxy) -> Option<Self> {
        match question {
            ToProxy::Open { path, .. } => Some(file("open", path)),
            ToProxy::Look { path, .. } => Some(file("stat", path)),
            ToProxy::Fs(call) => file_call(call).map(|(operation, path)| file(operation, path)),
            ToProxy::Dns(DnsCall::Resolve { name, .. } | DnsCall::Query { name, .. }) => {
                Some(Self::DnsQuery { name: name.clone() })
            }
            ToProxy::Socket(SocketQuestion::Connect { to, .. }) => {
                Some(Self::OutgoingConnection { protocol: "tcp", address: *to })
            }
            ToProxy::Socket(SocketQuestion::DatagramRelay { to, .. }) => {
                Some(Self::OutgoingConnection { protocol: "udp", address: *to })
            }
            _ => None,
        }
    }

    /// What came of a subscription.
    pub(crate) fn subscription(Subscription { wish, port }: Subscription, subscribed: bool) -> Self {
        let mode = if wish == Wish::Steal { "steal" } else { "mirror" };
        Self::PortSubscription { port: port.0, mode, subscribed }
    }

    /// That somebody has come.
    pub(crate) fn arrival(arrival: &Arrival) -> Self {
        Self::IncomingConnection { port: arrival.port.0, peer: arrival.peer }
    }
}

fn file(operation: &'static str, path: &GuestPath) -> Happening {
    Happening::FileOp { operation, path: String::from_utf8_lossy(path.as_bytes()).into_owned() }
}

fn file_call(call: &FsCall) -> Option<(&'static str, &GuestPath)> {
    Some(match call {
        FsCall::Stat { path, .. } => ("stat", path),
        FsCall::ReadLink(path) => ("readlink", path),
        FsCall::Canonicalize(path) => ("realpath", path),
        FsCall::Access { path, .. } => ("access", path),
        FsCall::MakeDir { path, .. } => ("mkdir", path),
        FsCall::MakeNode { path, .. } => ("mknod", path),
        FsCall::RemoveDir(path) => ("rmdir", path),
        FsCall::Unlink(path) => ("unlink", path),
        FsCall::Rename { from, .. } => ("rename", from),
        FsCall::Link { from, .. } => ("link", from),
        FsCall::Symlink { path, .. } => ("symlink", path),
        FsCall::ChangeMode { path, .. } => ("chmod", path),
        FsCall::ChangeOwner { path, .. } => ("chown", path),
        FsCall::SetTimes { path, .. } => ("utimensat", path),
        FsCall::Truncate { path, .. } => ("truncate", path),
        FsCall::StatFs(path) => ("statfs", path),
        FsCall::GetAttribute { path, .. } => ("getxattr", path),
        FsCall::ListAttributes { path, .. } => ("listxattr", path),
        FsCall::SetAttribute { path, .. } => ("setxattr", path),
        FsCall::RemoveAttribute { path, .. } => ("removexattr", path),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_where_nobody_listens() {
        let chronicle = Chronicle::default();
        chronicle.tell(|| panic!("nobody asked"));
        let mut listener = chronicle.listen();
        chronicle.tell(|| Happening::of(&ToProxy::Fs(FsCall::Unlink(GuestPath::from("/tmp/x")))));
        let told = serde_json::to_string(&listener.try_recv().unwrap()).unwrap();
        assert_eq!(told, r#"{"type":"FileOp","operation":"unlink","path":"/tmp/x"}"#);
    }
}
