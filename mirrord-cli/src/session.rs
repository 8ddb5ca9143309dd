//! Starts the proxy of a session, and hears from it whether the session stands.

use std::{
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, Stdio},
};

use mirrord_protocol::{
    frame::{self, FrameReader, OversizedFrame},
    wire::{self, DecodeError, EncodeError},
};
use thiserror::Error;

use crate::{
    proxy::start::{Failure, Order, Ready, Report},
    report::{self, BEFORE_THE_GUEST, Explain},
};

/// Us, whatever our file is called by now.
const OURSELVES: &str = "/proc/self/exe";

/// Why there is no proxy to speak with.
#[derive(Debug, Error)]
enum SessionError {
    #[error("cannot start the proxy")]
    Start(#[source] io::Error),
    #[error("cannot speak with the proxy")]
    Speak(#[source] io::Error),
    #[error("the configuration is too large to be handed to the proxy")]
    TooLarge(#[source] EncodeError),
    #[error("the proxy ended before the session stood")]
    Ended,
    #[error("the proxy said something that is no report")]
    Oversized(#[source] OversizedFrame),
    #[error("the proxy said something that is no report")]
    Malformed(#[source] DecodeError),
}

impl Explain for SessionError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge(_) => Some("use fewer or simpler expressions in `feature.fs`".to_owned()),
            Self::Ended | Self::Oversized(_) | Self::Malformed(_) => Some(
                "this is a fault of mirrord: please report it, with a log that \
                 `internal_proxy.log_destination` names"
                    .to_owned(),
            ),
            Self::Start(_) | Self::Speak(_) => None,
        }
    }
}

impl From<Failure> for report::Report {
    fn from(failure: Failure) -> Self {
        Self { what: failure.what, causes: failure.causes, hint: failure.hint, code: BEFORE_THE_GUEST }
    }
}

/// What the proxy says before the session stands.
#[derive(Debug)]
pub(crate) enum Word {
    /// What it does now.
    Progress(String),
    /// What the developer should know.
    Warning(String),
}

/// What is left of the conversation with a proxy whose session stands.
#[derive(Debug)]
pub(crate) struct Proxy {
    socket: UnixStream,
    reader: FrameReader,
}

impl Proxy {
    /// Hears what the proxy has to tell of a session without a guest of ours, until that session ends.
    pub(crate) fn wait(mut self, mut tell: impl FnMut(Word)) {
        // However the conversation ends, it was the last of the session.
        drop(hear(&mut self.socket, &mut self.reader, &mut tell));
    }
}

/// Starts the proxy; comes back when the session stands. If we end before that, so does the proxy.
pub(crate) fn start(order: &Order, mut tell: impl FnMut(Word)) -> Result<(Ready, Proxy), report::Report> {
    let order = frame::encode_frame(order).map_err(SessionError::TooLarge)?;
    let (mut ours, theirs) = UnixStream::pair().map_err(SessionError::Start)?;
    let mut proxy = Command::new(OURSELVES)
        .arg0("mirrord")
        .arg("intproxy")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(SessionError::Start)?;
    let told = ours.write_all(&order).map_err(SessionError::Speak).map_err(report::Report::from);
    let mut reader = FrameReader::default();
    let ready = told.and_then(|()| hear(&mut ours, &mut reader, &mut tell));
    // The proxy has parted from us by now, or has failed: the guest must not find a child that it never started.
    let _ = proxy.wait();
    Ok((ready?, Proxy { socket: ours, reader }))
}

fn hear(
    from: &mut UnixStream,
    reader: &mut FrameReader,
    tell: &mut impl FnMut(Word),
) -> Result<Ready, report::Report> {
    let mut piece = vec![0; 64 << 10];
    loop {
        while let Some(frame) = reader.next_frame().map_err(SessionError::Oversized)? {
            match wire::decode(&frame).map_err(SessionError::Malformed)? {
                Report::Progress(words) => tell(Word::Progress(words)),
                Report::Warning(words) => tell(Word::Warning(words)),
                Report::Ready(ready) => return Ok(ready),
                Report::Failed(failure) => return Err(failure.into()),
            }
        }
        match from.read(&mut piece) {
            Ok(0) => return Err(SessionError::Ended.into()),
            Ok(n_read) => reader.feed(&piece[..n_read]),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(SessionError::Speak(why).into()),
        }
    }
}
