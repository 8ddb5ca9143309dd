//! What a proxy is told: the configuration and the place of the target, as one order.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use mirrord_config::{
    Lowered,
    handoff::DataPath,
    lower::{DataPathChoice, Engine},
};
use mirrord_core::target::Target;
use mirrord_protocol::agent::env::EnvironmentCall;
use thiserror::Error;
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::{
    printer, progress,
    proxy::start::{Card, Order, Place},
    random,
    report::Explain,
};

/// Why nothing can be ordered: the user's fault.
#[derive(Debug, Error)]
pub(crate) enum OrderError {
    #[error("cannot tell the working directory")]
    NoWorkingDirectory(#[source] io::Error),
    #[error("`{key}` is `{level}`, which is neither a level nor directives")]
    LogLevel { key: &'static str, level: String, source: ParseError },
}

impl Explain for OrderError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoWorkingDirectory(_) => "change to a folder that exists".to_owned(),
            Self::LogLevel { .. } => {
                "a level is `error`, `warn`, `info`, `debug` or `trace`; directives are like `mirrord=debug,warn`"
                    .to_owned()
            }
        })
    }
}

/// Writes the order. `guest` is the process that becomes the guest; none if somebody else starts it.
pub(crate) fn order(
    lowered: &Lowered,
    place: Place,
    agent: PathBuf,
    guest: Option<i32>,
) -> Result<Order, OrderError> {
    check_level("internal_proxy.log_level", &lowered.proxy.log_level)?;
    check_level("agent.log_level", &lowered.agent.log_level)?;
    let environment = &lowered.environment;
    let is_here = place.is_here();
    let takes_environment = environment.enabled && lowered.target != Target::Targetless;
    Ok(Order {
        session_id: random::hex(16),
        owner: owner(),
        guest_pid: guest,
        screen: if progress::is_off() || guest.is_none() { None } else { printer::screen() },
        place,
        agent,
        rules: lowered.rules.clone(),
        mapping: lowered.mapping.clone(),
        environment: takes_environment.then(|| EnvironmentCall {
            include: environment.include.clone(),
            exclude: environment.exclude.clone(),
        }),
        data_path: match lowered.data_path {
            DataPathChoice::Passed => DataPath::Passed,
            DataPathChoice::Auto if is_here => DataPath::Passed,
            DataPathChoice::Auto | DataPathChoice::Proxied => DataPath::Proxied,
        },
        hands_over: lowered.engine != Engine::Layer && crate::supervisor::support::support().is_ok(),
        allows_rings: lowered.allows_rings,
        start_dir: env::current_dir().map_err(OrderError::NoWorkingDirectory)?,
        debugger_ports: lowered.debugger_ports.clone(),
        start_idle_timeout: lowered.proxy.start_idle_timeout,
        idle_timeout: lowered.proxy.idle_timeout,
        log: lowered.proxy.log_destination.as_deref().map(log_file),
        log_level: lowered.proxy.log_level.clone(),
        json_log: lowered.proxy.json_log,
        agent_log_level: lowered.agent.log_level.clone(),
        card: lowered.api.then(|| card(lowered)),
    })
}

/// A log that nobody can start is told before anything starts.
fn check_level(key: &'static str, level: &str) -> Result<(), OrderError> {
    EnvFilter::try_new(level).map(drop).map_err(|source| OrderError::LogLevel {
        key,
        level: level.to_owned(),
        source,
    })
}

/// What those are told who ask for the session.
fn card(lowered: &Lowered) -> Card {
    Card {
        key: lowered.key.text.clone(),
        target: lowered.target.to_string(),
        namespace: lowered.cluster.namespace.clone(),
        context: lowered.cluster.context.clone(),
        config: lowered.changed.to_string(),
    }
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
