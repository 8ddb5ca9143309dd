//! Which engine catches a program's calls, and why.

use std::{env, ffi::OsString, os::unix::ffi::OsStrExt, path::Path, process::ExitCode};

use mirrord_config::lower::Engine;
use mirrord_protocol::proxy::names::{PROXY_ADDRESS, SESSION_ID};
use thiserror::Error;

use crate::{
    environment::Variables,
    in_place,
    inject::become_guest,
    inspect::Inspection,
    progress::Progress,
    report::{Explain, Report},
    supervisor::{
        start::{self, Started, SuperviseError, Supervised, Supervision},
        support::support,
    },
};

/// What catches the calls of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// The library within it.
    Layer,
    /// The process beside it, and why.
    Supervisor(String),
}

impl Chosen {
    /// A clause for the summary.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Layer => "engine: layer".to_owned(),
            Self::Supervisor(why) => format!("engine: supervisor, {why}"),
        }
    }
}

/// Chooses for a program that was looked at, and tells what the choice cannot do.
pub(crate) fn choose(
    wish: Engine,
    inspection: &Inspection,
    progress: &Progress,
) -> Result<Chosen, SuperviseError> {
    let chosen = match (wish, inspection.beyond_layer.first()) {
        (Engine::Layer, _) | (Engine::Auto, None) => Chosen::Layer,
        (Engine::Supervisor, _) => {
            support()?;
            Chosen::Supervisor("as ordered".to_owned())
        }
        (Engine::Auto, Some(beyond)) => match support() {
            Ok(_) => Chosen::Supervisor(format!("because {}", beyond.why)),
            Err(why) => {
                progress.warn(&why.to_string(), None);
                Chosen::Layer
            }
        },
    };
    let beyond = inspection.beyond_layer.iter().map(|beyond| &beyond.finding);
    let beyond = beyond.filter(|_| chosen == Chosen::Layer);
    for finding in beyond.chain(&inspection.findings) {
        progress.warn(&finding.what, Some(&finding.hint));
    }
    Ok(chosen)
}

/// What this process is, now that the guest can begin.
pub(crate) enum Prepared {
    /// The guest to be, and its supervision, if it is to have one.
    Guest(Option<Supervision>),
    /// The one that stood before a guest, which has ended so.
    Front(ExitCode),
}

/// Starts the supervisor that was chosen, if one was.
pub(crate) fn prepare(
    chosen: &Chosen,
    address: &str,
    variables: &Variables,
) -> Result<Prepared, SuperviseError> {
    if *chosen == Chosen::Layer {
        return Ok(Prepared::Guest(None));
    }
    let folder = |name: &str| variables.get(name).map(OsStrExt::as_bytes);
    let session = Supervised {
        address,
        session_id: variables.get(SESSION_ID).unwrap_or_default(),
        home: folder("HOME"),
        temp_dir: folder("TMPDIR"),
    };
    Ok(match start::start(&session)? {
        Started::Guest(supervision) => Prepared::Guest(Some(supervision)),
        Started::Front(code) => Prepared::Front(code),
    })
}

/// Why a program cannot be taken over from a layer: our own fault, or somebody's who plays with us.
#[derive(Debug, Error)]
#[error("this is no session of mirrord: `{PROXY_ADDRESS}` is not set")]
struct NoSession;

impl Explain for NoSession {
    fn hint(&self) -> Option<String> {
        Some("run the program by `mirrord exec`".to_owned())
    }
}

/// Becomes a program that a layer cannot enter, as a guest that is supervised.
pub(crate) fn take_over(program: &Path, words: &[OsString]) -> Result<ExitCode, Report> {
    let mut variables = Variables::own();
    variables.remove(in_place::PROGRAM);
    let Some(address) = env::var_os(PROXY_ADDRESS) else { return Err(NoSession.into()) };
    let chosen = Chosen::Supervisor(String::new());
    match prepare(&chosen, &address.to_string_lossy(), &variables)? {
        Prepared::Guest(supervision) => match become_guest(program, words, variables, supervision)? {},
        Prepared::Front(code) => Ok(code),
    }
}
