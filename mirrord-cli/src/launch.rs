//! Target, agent, proxy, guest: the order of things, told once.

use std::{
    convert::Infallible,
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use mirrord_config::{Lowered, handoff::DataPath, lower::DataPathChoice};
use mirrord_core::target::Target;
use mirrord_protocol::{agent::env::EnvironmentCall, proxy::names::PROXY_ADDRESS};
use thiserror::Error;

use crate::{
    args::ExecArguments,
    assets::{self, Asset},
    environment::{Overlay, Variables},
    inject::{Injection, become_guest},
    inspect, printer, program,
    progress::{self, Progress},
    proxy::start::{Order, Place},
    random,
    report::{Explain, Report},
    session::{self, Word},
    settings, summary, targets,
};

/// Why a session is not even begun: the user's fault.
#[derive(Debug, Error)]
enum LaunchError {
    #[error("this is already a session of mirrord; one within another is not supported")]
    Nested,
    #[error("cannot tell the working directory")]
    NoWorkingDirectory(#[source] io::Error),
}

impl Explain for LaunchError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nested => "run the command without `mirrord exec`: it is a guest already".to_owned(),
            Self::NoWorkingDirectory(_) => "change to a folder that exists".to_owned(),
        })
    }
}

/// Runs a command as a guest; comes back only if it cannot.
pub(crate) fn launch(arguments: &ExecArguments) -> Result<Infallible, Report> {
    if env::var_os(PROXY_ADDRESS).is_some() {
        return Err(LaunchError::Nested.into());
    }
    let mut progress = Progress::begin("mirrord exec");
    let resolved = settings::load(arguments.config_file.as_deref(), arguments.overrides())?;
    let lowered = &resolved.lowered;
    for warning in &resolved.warnings {
        progress.warn(warning, None);
    }
    let overlay = Overlay::load(&lowered.environment)?;
    let program = look_at_program(&arguments.command, lowered, &progress)?;

    let found = targets::find(&lowered.target)?;
    if let Some(note) = &found.note {
        progress.info(note);
    }
    let layer = program.takes_layer.then(|| assets::find(&Asset::LAYER)).transpose()?;
    let agent = assets::find(&Asset::AGENT)?;
    let order = order(lowered, found.place, agent)?;
    progress.step(match &lowered.target {
        Target::Targetless => "starting the agent here".to_owned(),
        named @ Target::Named { .. } => format!("starting the agent at `{named}`"),
    });
    let ready = session::start(&order, |word| match word {
        Word::Progress(words) => progress.step(words),
        Word::Warning(words) => progress.warn(&words, None),
    })?;

    progress.step_done();
    let mut variables = overlay.lay_over(Variables::own(), &ready.environment);
    Injection { layer: layer.as_deref(), address: &ready.address, session_id: &order.session_id }
        .lay_into(&mut variables);
    for line in summary::lines(lowered, order.data_path, &ready.hostname, &order.session_id) {
        progress.info(&line);
    }
    progress.ready();
    Ok(become_guest(&program.file, &arguments.command, variables)?)
}

/// The program of a command.
struct Program {
    file: PathBuf,
    takes_layer: bool,
}

/// Finds the program, and tells what the engine cannot do with it.
fn look_at_program(command: &[OsString], lowered: &Lowered, progress: &Progress) -> Result<Program, Report> {
    let path = env::var_os("PATH");
    let word = command.first().cloned().unwrap_or_default();
    let file = program::find(&word, path.as_deref())?;
    let inspection = inspect::inspect(&file, command, path.as_deref(), &lowered.rules.process);
    for finding in &inspection.findings {
        progress.warn(&finding.what, Some(&finding.hint));
    }
    Ok(Program { file, takes_layer: inspection.takes_layer })
}

/// What the proxy is told.
fn order(lowered: &Lowered, place: Place, agent: PathBuf) -> Result<Order, Report> {
    let environment = &lowered.environment;
    let takes_environment = environment.enabled && lowered.target != Target::Targetless;
    Ok(Order {
        session_id: random::hex(16),
        owner: owner(),
        guest_pid: rustix::process::getpid().as_raw_nonzero().get(),
        screen: if progress::is_off() { None } else { printer::screen() },
        place,
        agent,
        rules: lowered.rules.clone(),
        mapping: lowered.mapping.clone(),
        environment: takes_environment.then(|| EnvironmentCall {
            include: environment.include.clone(),
            exclude: environment.exclude.clone(),
        }),
        data_path: match lowered.data_path {
            // Every target of this version is on this machine.
            DataPathChoice::Auto | DataPathChoice::Passed => DataPath::Passed,
            DataPathChoice::Proxied => DataPath::Proxied,
        },
        start_dir: env::current_dir().map_err(LaunchError::NoWorkingDirectory)?,
        debugger_ports: lowered.debugger_ports.clone(),
        start_idle_timeout: lowered.proxy.start_idle_timeout,
        idle_timeout: lowered.proxy.idle_timeout,
        log: lowered.proxy.log_destination.as_deref().map(log_file),
        log_level: lowered.proxy.log_level.clone(),
        json_log: lowered.proxy.json_log,
        agent_log_level: lowered.agent_log_level.clone(),
    })
}

/// Who starts the session, in words: `ann on laptop`.
fn owner() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| format!("user {}", nix::unistd::geteuid()), |user| user.name);
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{user} on {}", host.to_string_lossy())
}

/// The file of a log: a folder gets one with a name that no other session has.
fn log_file(destination: &Path) -> PathBuf {
    let is_folder = destination.is_dir() || destination.as_os_str().to_string_lossy().ends_with('/');
    let file = if is_folder {
        destination.join(format!("mirrord-intproxy-{}.log", std::process::id()))
    } else {
        destination.to_owned()
    };
    std::path::absolute(&file).unwrap_or(file)
}
