//! Calls that a guest's thread makes itself, on a lane of its own: one thread of ours takes them in and does them.
//!
//! So a question wakes one thread there and its answer one here, and nobody between.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use bytes::Bytes;
use mirrord_protocol::{
    agent::{
        AgentAnswer, AgentCall, ToAgent,
        fs::{FsCall, Want},
    },
    fault::Fault,
    frame::FrameReader,
    wire,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, Shutdown},
};
use tokio::net::UnixStream;

use crate::{
    agent::{Agent, answer},
    link::{self, LaneReader},
    outgoing,
    rights::Deed,
    session::{self, Session},
};

/// How many such lanes there may be: each has a thread, and whoever gets none asks its proxy.
pub(crate) const MAX_LANES: usize = 128;

/// How much is read at once; most calls are a path and a few numbers.
const PIECE: usize = 8 << 10;

/// Serves such a lane until it ends, or its session does.
///
/// # Errors
/// When the lane is gone before it is answered.
pub(crate) async fn lane(
    agent: &Arc<Agent>,
    session: &Arc<Session>,
    lane: &Arc<UnixStream>,
    reader: LaneReader,
) -> io::Result<()> {
    if let Err(fault) = session.origin.takes_descriptors() {
        return answer(lane, &Err::<(), _>(fault)).await;
    }
    let Ok(permit) = agent.call_lanes.clone().try_acquire_owned() else {
        let fault = Fault::with_words(libc::EAGAIN, "too many guests have lanes of their own");
        return answer(lane, &Err::<(), _>(fault)).await;
    };
    // The thread waits in the kernel; the runtime only ends it. Whoever is told that it has a lane has one.
    let socket = match lane.as_fd().try_clone_to_owned() {
        Ok(socket) => socket,
        Err(error) => return answer(lane, &Err::<(), _>(Fault::from(error))).await,
    };
    answer(lane, &Ok::<(), Fault>(())).await?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    let (there, theirs, rest) = (agent.clone(), session.clone(), reader.into_rest());
    let thread = agent.hands.spawn_blocking(move || {
        let _permit = permit;
        if let Err(error) = converse(&there, &theirs, &socket, &rest) {
            tracing::debug!(%error, "a guest's lane of calls ends");
        }
    });
    tokio::select! {
        () = session.ended() => {
            // Who has closed it already needs no end.
            let _ = rustix::net::shutdown(lane, Shutdown::Both);
        }
        _ = thread => {}
    }
    Ok(())
}

/// Takes calls and does them, one after another. `rest` is what was already read.
fn converse(agent: &Agent, session: &Session, socket: &OwnedFd, rest: &Bytes) -> io::Result<()> {
    let mut frames = FrameReader::default();
    frames.feed(rest);
    let mut piece = vec![0; PIECE];
    loop {
        let malformed =
            |error: &dyn std::error::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        while let Some(frame) = frames.next_frame().map_err(|error| malformed(&error))? {
            let ToAgent { id, call, .. } = wire::decode(&frame).map_err(|error| malformed(&error))?;
            let (bytes, descriptor) = session::encode_answer(id, perform(agent, session, call));
            send(socket, &bytes, descriptor.as_ref().map(OwnedFd::as_fd))?;
        }
        // What rides along with a call is nobody's, and closed by the kernel.
        match rustix::net::recv(socket, &mut piece[..], RecvFlags::empty()) {
            Ok((0, _)) => return Ok(()),
            Ok((n_read, _)) => frames.feed(&piece[..n_read]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn perform(agent: &Agent, session: &Session, call: AgentCall) -> session::Answer {
    match call {
        AgentCall::Fs(call) if is_by_path(&call) => session::files(agent, session, &call),
        AgentCall::Socket(call) => {
            agent.target.permit(Deed::Reach)?;
            outgoing::socket(call).map(|socket| (AgentAnswer::Done, Some(socket)))
        }
        _ => Err(Fault::with_words(libc::ENOSYS, "this is asked of the proxy")),
    }
}

/// Whether a call needs no file that is open here.
fn is_by_path(call: &FsCall) -> bool {
    match call {
        FsCall::Open { want, .. } => *want == Want::Descriptor,
        FsCall::ReadAt { .. }
        | FsCall::WriteAt { .. }
        | FsCall::StatFile(_)
        | FsCall::TruncateFile { .. }
        | FsCall::Sync { .. }
        | FsCall::List { .. } => false,
        _ => true,
    }
}

fn send(socket: &OwnedFd, mut bytes: &[u8], mut descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    while !bytes.is_empty() {
        match link::send_once(socket.as_fd(), bytes, descriptor) {
            Ok(n_sent) => {
                (bytes, descriptor) = (&bytes[n_sent..], None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
