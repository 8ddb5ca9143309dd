//! Target, agent, proxy, guest: the order of things, told once.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use mirrord_config::Lowered;
use mirrord_core::target::Target;
use mirrord_protocol::proxy::names::PROXY_ADDRESS;
use thiserror::Error;

use crate::{
    args::ExecArguments,
    assets::{self, Asset},
    engine::{self, Chosen, Prepared},
    environment::{Overlay, Variables},
    inject::{Injection, become_guest},
    inspect, order, program,
    progress::Progress,
    proxy::start::{Order, Place, Ready},
    report::{Explain, Report},
    session::{self, Proxy, Word},
    settings, summary, targets,
};

/// Why a session is not even begun: the user's fault.
#[derive(Debug, Error)]
enum LaunchError {
    #[error("this is already a session of mirrord; one within another is not supported")]
    Nested,
}

impl Explain for LaunchError {
    fn hint(&self) -> Option<String> {
        Some("run the command without `mirrord exec`: it is a guest already".to_owned())
    }
}

/// Runs a command as a guest; comes back if it cannot, or where this process stood before the guest, until its end.
pub(crate) fn launch(arguments: &ExecArguments) -> Result<ExitCode, Report> {
    refuse_nesting()?;
    let mut progress = Progress::begin("mirrord exec");
    let flags = &arguments.session;
    let resolved = settings::load(flags.reach.config.config_file.as_deref(), arguments.overrides())?;
    let lowered = &resolved.lowered;
    for warning in &resolved.warnings {
        progress.warn(warning, None);
    }
    let overlay = Overlay::load(&lowered.environment)?;
    let program = look_at_program(&arguments.command, lowered, &progress)?;
    let takes_layer = program.takes_layer && program.engine == Chosen::Layer;

    let us = rustix::process::getpid().as_raw_nonzero().get();
    let Session { order, ready, layer, .. } = stand(lowered, &mut progress, Some(us), takes_layer)?;

    let mut variables = overlay.lay_over(Variables::own(), &ready.environment);
    Injection { layer: layer.as_deref(), address: &ready.address, session_id: &order.session_id }
        .lay_into(&mut variables);
    for line in summary::lines(lowered, order.data_path, &ready.hostname, &order.session_id) {
        progress.info(&line);
    }
    progress.info(&program.engine.words());
    match engine::prepare(&program.engine, &ready.address, &variables)? {
        Prepared::Guest(supervision) => {
            progress.ready();
            match become_guest(&program.file, &arguments.command, variables, supervision)? {}
        }
        Prepared::Front(code) => {
            progress.leave_to_others();
            Ok(code)
        }
    }
}

/// A guest cannot have guests.
pub(crate) fn refuse_nesting() -> Result<(), Report> {
    match env::var_os(PROXY_ADDRESS) {
        Some(_) => Err(LaunchError::Nested.into()),
        None => Ok(()),
    }
}

/// A session that stands.
pub(crate) struct Session {
    /// What it was told to be.
    pub(crate) order: Order,
    /// What came of it.
    pub(crate) ready: Ready,
    /// The layer's file, if the guest takes it.
    pub(crate) layer: Option<PathBuf>,
    /// Ends when the session does, if that has no guest of ours.
    pub(crate) proxy: Proxy,
}

/// Finds the target and starts the session. `guest` is the process that becomes the guest; none if somebody else starts
/// it.
pub(crate) fn stand(
    lowered: &Lowered,
    progress: &mut Progress,
    guest: Option<i32>,
    takes_layer: bool,
) -> Result<Session, Report> {
    let found = targets::find(lowered)?;
    if let Some(note) = &found.note {
        progress.info(note);
    }
    let layer = takes_layer.then(|| assets::find(&Asset::LAYER)).transpose()?;
    let agent = assets::find(&Asset::AGENT)?;
    let order = order::order(lowered, found.place, agent, guest)?;
    progress.step(match (&order.place, &lowered.target) {
        (Place::Cluster(_), _) => "asking the cluster".to_owned(),
        (_, Target::Targetless) => "starting the agent here".to_owned(),
        (_, named @ Target::Named { .. }) => format!("starting the agent at `{named}`"),
    });
    let (ready, proxy) = session::start(&order, |word| match word {
        Word::Progress(words) => progress.step(words),
        Word::Warning(words) => progress.warn(&words, None),
    })?;
    progress.step_done();
    Ok(Session { order, ready, layer, proxy })
}

/// The program of a command.
struct Program {
    file: PathBuf,
    takes_layer: bool,
    engine: Chosen,
}

/// Finds the program, chooses its engine, and tells what that cannot do with it.
fn look_at_program(command: &[OsString], lowered: &Lowered, progress: &Progress) -> Result<Program, Report> {
    let path = env::var_os("PATH");
    let word = command.first().cloned().unwrap_or_default();
    let file = program::find(&word, path.as_deref())?;
    let inspection = inspect::inspect(&file, command, path.as_deref(), &lowered.rules.process);
    let engine = engine::choose(lowered.engine, &inspection, progress)?;
    Ok(Program { file, takes_layer: inspection.takes_layer, engine })
}
