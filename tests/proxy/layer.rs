//! A layer without a guest: says hello, asks, is answered.

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsAnswer, FsCall},
    fault::Fault,
    id::SocketInode,
    proxy::{
        FromProxy, ToProxy,
        lineage::Hello,
        sockets::{SocketAnswer, SocketQuestion},
    },
    version::Version,
    wire,
};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
            connect, getsockopt, recvmsg, sendmsg, socket, sockopt,
        },
        stat::fstat,
    },
};

/// A connection to a proxy.
pub(crate) struct Layer {
    socket: OwnedFd,
    pub(crate) handed: Vec<OwnedFd>,
}

impl Layer {
    /// A connection that has not said anything yet.
    pub(crate) fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap()
    }

    /// The same, where there may be nobody.
    pub(crate) fn try_connect(address: &str) -> Result<Self, Errno> {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let name = UnixAddr::new_abstract(address.trim_start_matches('@').as_bytes()).unwrap();
        connect(socket.as_raw_fd(), &name)?;
        Ok(Self { socket, handed: Vec::new() })
    }

    /// A connection that was welcomed.
    pub(crate) fn hello(address: &str) -> Self {
        let mut layer = Self::connect(address);
        let (answer, handed) = layer.ask_with(&hello(), None).unwrap();
        assert!(matches!(answer, FromProxy::Welcome(_)), "{answer:?}");
        layer.handed = handed;
        layer
    }

    /// Who listens at the other end.
    pub(crate) fn peer_pid(&self) -> i32 {
        getsockopt(&self.socket, sockopt::PeerCredentials).unwrap().pid()
    }

    /// Sends a packet as it is.
    pub(crate) fn send(&self, bytes: &[u8], descriptor: Option<i32>) -> Result<(), Errno> {
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        let control = [ControlMessage::ScmRights(&descriptors)];
        let control = if descriptors.is_empty() { &control[..0] } else { &control[..] };
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None).map(drop)
    }

    /// The next packet; nothing at the end.
    pub(crate) fn receive(&self) -> Option<(FromProxy, Vec<OwnedFd>)> {
        let mut buffer = vec![0; wire::MAX_PACKET];
        let mut space = nix::cmsg_space!([i32; 4]);
        let mut pieces = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.socket.as_raw_fd(), &mut pieces, Some(&mut space), flags).ok()?;
        let mut descriptors = Vec::new();
        for message in received.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                // SAFETY: the kernel has just made them for us.
                descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
        }
        let n_received = received.bytes;
        (n_received > 0).then(|| (wire::decode(&buffer[..n_received]).unwrap(), descriptors))
    }

    /// Asks; nothing if the proxy hung up.
    pub(crate) fn ask_with(
        &self,
        question: &ToProxy,
        descriptor: Option<i32>,
    ) -> Option<(FromProxy, Vec<OwnedFd>)> {
        self.send(&wire::encode(question).unwrap(), descriptor).ok()?;
        let (answer, descriptors) = self.receive()?;
        assert_eq!(answer.n_descriptors(), descriptors.len(), "{answer:?}");
        Some((answer, descriptors))
    }

    /// Asks what is answered without a descriptor.
    pub(crate) fn ask(&self, question: &ToProxy) -> FromProxy {
        self.ask_with(question, None).expect("the proxy answers").0
    }

    /// Asks for a file.
    pub(crate) fn open(&self, path: &str, flags: i32, mode: u32) -> Result<OwnedFd, Fault> {
        let question = ToProxy::Open { path: GuestPath::from(path), flags, mode };
        match self.ask_with(&question, None).expect("the proxy answers") {
            (FromProxy::Object, mut object) => Ok(object.remove(0)),
            (FromProxy::Failed(fault), _) => Err(fault),
            (answer, _) => panic!("{answer:?}"),
        }
    }

    /// A file call.
    pub(crate) fn fs(&self, call: FsCall) -> Result<FsAnswer, Fault> {
        match self.ask(&ToProxy::Fs(call)) {
            FromProxy::Fs(answer) => Ok(answer),
            FromProxy::Failed(fault) => Err(fault),
            answer => panic!("{answer:?}"),
        }
    }

    /// A file's attributes.
    pub(crate) fn stat(&self, path: &str) -> Result<FileStat, Fault> {
        match self.fs(FsCall::Stat { path: GuestPath::from(path), follow: true })? {
            FsAnswer::Stat(stat) => Ok(stat),
            answer => panic!("{answer:?}"),
        }
    }

    /// A question about a socket.
    pub(crate) fn socket(&self, question: SocketQuestion) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        self.socket_with(question, None)
    }

    /// The same, with a descriptor.
    pub(crate) fn socket_with(
        &self,
        question: SocketQuestion,
        descriptor: Option<i32>,
    ) -> Result<(SocketAnswer, Option<OwnedFd>), Fault> {
        match self.ask_with(&ToProxy::Socket(question), descriptor).expect("the proxy answers") {
            (FromProxy::Socket(answer), mut descriptors) => Ok((answer, descriptors.pop())),
            (FromProxy::Failed(fault), _) => Err(fault),
            (answer, _) => panic!("{answer:?}"),
        }
    }
}

/// What a first connection says.
pub(crate) fn hello() -> ToProxy {
    let pid = i32::try_from(std::process::id()).unwrap();
    let program = "story".to_owned();
    ToProxy::Hello(Hello { version: Version::OURS, pid, program, settings: true })
}

/// A socket's name.
pub(crate) fn inode(socket: &impl std::os::fd::AsFd) -> SocketInode {
    SocketInode(fstat(socket).unwrap().st_ino)
}
