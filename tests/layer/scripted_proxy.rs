//! A proxy that plays a script: it speaks the layer's language, and answers as its story says.

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use mirrord_config::handoff::Handoff;
use mirrord_protocol::{
    fault::Fault,
    proxy::{FromProxy, ToProxy, lineage::Welcome, sockets::PORT_PAGE},
    version::Version,
    wire::{self, MAX_PACKET},
};
use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    socket::{
        AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
        accept4, bind, listen, recvmsg, sendmsg, socket,
    },
};

/// What a script answers: words, and what rides along.
pub(crate) struct Answer {
    pub(crate) words: FromProxy,
    pub(crate) objects: Vec<OwnedFd>,
    /// What is sent instead of the words: packets that no proxy of ours would send. None of them is a hang-up.
    pub(crate) instead: Option<Vec<Vec<u8>>>,
}

impl Answer {
    /// Words, and an object that rides along.
    pub(crate) fn with(words: FromProxy, object: OwnedFd) -> Self {
        Self { words, objects: vec![object], instead: None }
    }

    /// These packets.
    pub(crate) fn nonsense(packets: &[&[u8]]) -> Self {
        let instead = packets.iter().map(|packet| packet.to_vec()).collect();
        Self { words: FromProxy::Done, objects: Vec::new(), instead: Some(instead) }
    }
}

impl From<FromProxy> for Answer {
    fn from(words: FromProxy) -> Self {
        Self { words, objects: Vec::new(), instead: None }
    }
}

/// A running scripted proxy.
pub(crate) struct ScriptedProxy {
    /// What `MIRRORD_LAYER_INTPROXY_ADDR` is to say.
    pub(crate) address: String,
    questions: Arc<Mutex<Vec<ToProxy>>>,
}

type Script = dyn Fn(&ToProxy, Option<OwnedFd>) -> Answer + Send + Sync;

impl ScriptedProxy {
    /// Starts one that gives these settings and answers by this script.
    pub(crate) fn start(
        handoff: &Handoff,
        script: impl Fn(&ToProxy, Option<OwnedFd>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mirrord-scripted-{}-{number}", std::process::id());
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes()).unwrap()).unwrap();
        listen(&listener, Backlog::new(64).unwrap()).unwrap();
        let proxy = Self { address: format!("@{name}"), questions: Arc::default() };
        let settings = Arc::new([memory(&handoff.encode().unwrap()), memory(&[0; PORT_PAGE])]);
        let (questions, script): (_, Arc<Script>) = (Arc::clone(&proxy.questions), Arc::new(script));
        thread::spawn(move || {
            while let Ok(layer) = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                // SAFETY: the descriptor was just made, and nobody else has it.
                let layer = unsafe { OwnedFd::from_raw_fd(layer) };
                let (questions, script) = (Arc::clone(&questions), Arc::clone(&script));
                let settings = Arc::clone(&settings);
                thread::spawn(move || serve(&layer, &settings, &questions, &*script));
            }
        });
        proxy
    }

    /// What was asked so far, hellos left out.
    pub(crate) fn questions(&self) -> Vec<ToProxy> {
        self.questions.lock().unwrap().clone()
    }
}

fn serve(layer: &OwnedFd, settings: &[OwnedFd; 2], questions: &Mutex<Vec<ToProxy>>, script: &Script) {
    while let Some((question, object)) = receive(layer) {
        let answered = if let ToProxy::Hello(hello) = &question {
            let welcome = Welcome { version: Version::OURS, settings: hello.settings };
            let objects =
                if hello.settings { settings.each_ref().map(AsRawFd::as_raw_fd).to_vec() } else { vec![] };
            send(layer, &FromProxy::Welcome(welcome), &objects)
        } else if question == ToProxy::Lane {
            // There is no agent to be asked.
            send(layer, &FromProxy::Failed(Fault::os(libc::EOPNOTSUPP)), &[])
        } else {
            questions.lock().unwrap().push(question.clone());
            let answer = script(&question, object);
            let objects: Vec<RawFd> = answer.objects.iter().map(AsRawFd::as_raw_fd).collect();
            match &answer.instead {
                Some(packets) => {
                    let sent = packets.iter().all(|packet| send_bytes(layer, packet, &objects));
                    sent && !packets.is_empty()
                }
                None => send(layer, &answer.words, &objects),
            }
        };
        if !answered {
            return;
        }
    }
}

fn receive(layer: &OwnedFd) -> Option<(ToProxy, Option<OwnedFd>)> {
    let mut bytes = vec![0; MAX_PACKET];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(layer.as_raw_fd(), &mut buffers, Some(&mut space), flags).ok()?;
    let object = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    // SAFETY: the descriptor was just received, and nobody else has it.
    let object = object.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let length = message.bytes;
    if length == 0 {
        return None;
    }
    Some((wire::decode(&bytes[..length]).unwrap(), object))
}

fn send(layer: &OwnedFd, words: &FromProxy, objects: &[RawFd]) -> bool {
    send_bytes(layer, &wire::encode(words).unwrap(), objects)
}

fn send_bytes(layer: &OwnedFd, bytes: &[u8], objects: &[RawFd]) -> bool {
    let rights = [ControlMessage::ScmRights(objects)];
    let rights = if objects.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(layer.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None).is_ok()
}

/// A memory file with these bytes.
pub(crate) fn memory(bytes: &[u8]) -> OwnedFd {
    named_memory("mirrord-test", bytes)
}

/// A memory file of this name, its offset at the start.
pub(crate) fn named_memory(name: &str, bytes: &[u8]) -> OwnedFd {
    let file = memfd_create(name, MFdFlags::MFD_CLOEXEC).unwrap();
    let mut file = std::fs::File::from(file);
    std::io::Write::write_all(&mut file, bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}
