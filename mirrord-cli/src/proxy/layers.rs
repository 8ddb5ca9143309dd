//! The listening side: a connection for each thread of a guest that asks, one question at a time.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use mirrord_protocol::{
    fault::Fault,
    proxy::{
        FromProxy, ToProxy,
        lineage::{Hello, Welcome},
    },
    version::Version,
    wire::{self, MAX_PACKET},
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::io::{Interest, unix::AsyncFd};
use tokio_seqpacket::{UnixSeqpacket, UnixSeqpacketListener, ancillary::AncillaryMessageWriter};

use super::{chronicle::Happening, rights, session::Session, settings::Settings, watch::Watch};

/// How long it may take to turn somebody away.
const TURN_AWAY: std::time::Duration = std::time::Duration::from_millis(10);

/// What every connection needs.
pub(crate) struct Layers {
    pub(crate) session: Session,
    pub(crate) settings: Arc<Settings>,
    pub(crate) watch: Watch,
}

/// The socket at which layers arrive: in the kernel's memory only, so nothing can be left behind.
pub(crate) fn listen(address: &str) -> io::Result<UnixSeqpacketListener> {
    let name = rustix::net::SocketAddrUnix::new_abstract_name(address.trim_start_matches('@').as_bytes())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &name)?;
    rustix::net::listen(&socket, 4096)?;
    UnixSeqpacketListener::try_from(socket)
}

impl Layers {
    /// Takes connections, until the session ends.
    pub(crate) async fn serve(self: Arc<Self>, mut listener: UnixSeqpacketListener) {
        let mut spare = spare();
        loop {
            match listener.accept().await {
                Ok(connection) => drop(tokio::spawn(self.clone().converse(connection))),
                Err(error) => {
                    tracing::error!(%error, "cannot take a layer's connection");
                    // Whoever waits is told by the end of the connection, for which a number is kept.
                    if spare.take().is_some() {
                        let next = listener.accept();
                        drop(tokio::time::timeout(TURN_AWAY, next).await);
                    } else {
                        tokio::time::sleep(TURN_AWAY).await;
                    }
                }
            }
            if spare.is_none() {
                spare = self::spare();
            }
        }
    }

    async fn converse(self: Arc<Self>, connection: UnixSeqpacket) {
        let Some(pid) = trusted_peer(&connection) else {
            return tracing::warn!("turned away a stranger");
        };
        let chronicle = &self.session.chronicle;
        if self.watch.record_connected(pid) {
            chronicle.tell(|| Some(Happening::LayerConnected { pid }));
        }
        if let Err(error) = self.talk(&connection).await {
            tracing::warn!(pid, %error, "closed a layer's connection");
        }
        drop(connection);
        if self.watch.record_disconnected(pid) {
            chronicle.tell(|| Some(Happening::LayerDisconnected { pid }));
        }
        // A guest that is gone does not listen any more.
        self.session.incoming.check().await;
    }

    async fn talk(&self, connection: &UnixSeqpacket) -> io::Result<()> {
        let socket = connection.as_async_fd();
        let mut buffer = vec![0; MAX_PACKET + 1];
        let mut greeted = false;
        while let Some((question, descriptor)) = receive(socket, &mut buffer).await? {
            let (answer, descriptor) = match question {
                ToProxy::Hello(hello) if !greeted => {
                    greeted = true;
                    self.welcome(connection, &hello).await?;
                    continue;
                }
                _ if !greeted => return Err(invalid("a layer must say hello first")),
                question => tokio::select! {
                    biased;
                    reply = self.session.answer(question, descriptor) => reply,
                    () = hung_up(socket) => return Ok(()),
                },
            };
            send(connection, &answer, descriptor.as_ref().map(AsFd::as_fd).as_slice()).await?;
        }
        Ok(())
    }

    async fn welcome(&self, connection: &UnixSeqpacket, hello: &Hello) -> io::Result<()> {
        tracing::debug!(?hello, "a layer says hello");
        if hello.version != Version::OURS {
            let words = format!("layer speaks version {}, proxy {}", hello.version, Version::OURS);
            let refusal = FromProxy::Failed(Fault::with_words(libc::EPROTONOSUPPORT, words.clone()));
            send(connection, &refusal, &[]).await?;
            return Err(invalid(&words));
        }
        let welcome = FromProxy::Welcome(Welcome { version: Version::OURS, settings: hello.settings });
        let descriptors = self.settings.descriptors();
        send(connection, &welcome, if hello.settings { &descriptors } else { &[] }).await
    }
}

/// A descriptor that is only there to be closed when there is no other left.
fn spare() -> Option<OwnedFd> {
    rustix::fs::open("/dev/null", rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty()).ok()
}

/// The peer's process, if it is the session's owner's or root's.
fn trusted_peer(connection: &UnixSeqpacket) -> Option<i32> {
    let peer = sockopt::socket_peercred(connection).ok()?;
    let uid = peer.uid.as_raw();
    (uid == 0 || uid == nix::unistd::geteuid().as_raw()).then_some(peer.pid.as_raw_nonzero().get())
}

/// The next question and what came with it; nothing at the end.
async fn receive<T: AsFd + std::os::fd::AsRawFd>(
    socket: &AsyncFd<T>,
    buffer: &mut [u8],
) -> io::Result<Option<(ToProxy, Option<OwnedFd>)>> {
    let mut descriptors = VecDeque::new();
    let n_received =
        socket.async_io(Interest::READABLE, |socket| rights::receive(socket, buffer, &mut descriptors)).await;
    match n_received {
        Ok(0) => Ok(None),
        Ok(n_received) if n_received > MAX_PACKET => Err(invalid("a layer's packet is too long")),
        Ok(n_received) => {
            let question = wire::decode(&buffer[..n_received])
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok(Some((question, descriptors.pop_front())))
        }
        Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the peer is gone. Its questions are not looked at: it has no right to ask before it is answered.
async fn hung_up<T: std::os::fd::AsRawFd>(socket: &AsyncFd<T>) {
    while let Ok(mut ready) = socket.readable().await {
        if ready.ready().is_read_closed() {
            return;
        }
        ready.clear_ready();
    }
}

async fn send(
    connection: &UnixSeqpacket,
    answer: &FromProxy,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut bytes = wire::encode(answer).map_err(io::Error::other)?;
    let mut space = [0; 64];
    let mut control = AncillaryMessageWriter::new(&mut space);
    if bytes.len() > MAX_PACKET {
        let fault = Fault::with_words(libc::E2BIG, "the answer is too long for a packet");
        bytes = wire::encode(&FromProxy::Failed(fault)).map_err(io::Error::other)?;
    } else if !descriptors.is_empty() && control.add_fds(descriptors).is_err() {
        return Err(invalid("too many descriptors for a packet"));
    }
    match connection.send_with_ancillary(&bytes, &mut control).await {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
        sent => sent.map(drop),
    }
}

fn invalid(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}
