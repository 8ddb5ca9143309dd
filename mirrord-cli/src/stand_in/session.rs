//! The life of a stand-in: a session is made for it, it works until it is done or the user has enough, and ends.

use std::{io, process::ExitCode};

use mirrord_config::Lowered;
use mirrord_core::target::Target;
use mirrord_protocol::fault::Fault;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use super::StandIn;
use crate::{
    launch::{self, Session},
    progress::Progress,
    report::{Explain, Report},
};

/// Why a stand-in could not go on.
#[derive(Debug, Error)]
enum StandInError {
    #[error("cannot start the work with the target")]
    Start(#[source] io::Error),
    #[error("the session with `{target}` has ended")]
    Lost {
        target: String,
        #[source]
        why: Fault,
    },
}

impl Explain for StandInError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Start(_) => None,
            Self::Lost { .. } => Some("start the command again when the target is back".to_owned()),
        }
    }
}

/// Makes a session of which this command is the guest.
pub(crate) fn begin(lowered: &Lowered, progress: &mut Progress) -> Result<(StandIn, Session), Report> {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    let session = launch::stand(lowered, progress, Some(us), false)?;
    let stand_in = StandIn { address: session.ready.address.clone(), data_path: session.order.data_path };
    Ok((stand_in, session))
}

/// Works in a session until the work is done, the session is lost, or the user has enough (Ctrl-C), which is no failure.
pub(crate) fn run(
    target: &Target,
    stand_in: &StandIn,
    work: impl AsyncFnOnce() -> Result<(), Report>,
) -> Result<ExitCode, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(StandInError::Start)?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(StandInError::Start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(StandInError::Start)?;
        tokio::select! {
            done = work() => done?,
            why = stand_in.lost() => {
                return Err(StandInError::Lost { target: target.to_string(), why }.into());
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
