//! `mirrord ext`: a session for a program that an editor starts, with the environment that the editor is to give it.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use mirrord_config::{Lowered, lower::Engine};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{
    args::ExtArguments,
    engine::{self, Chosen},
    environment::{Overlay, Variables},
    in_place,
    inject::{Injection, PRELOAD},
    inspect,
    launch::{self, Session},
    program,
    progress::Progress,
    report::{Explain, Report},
    session::Word,
    settings, summary,
};

/// The task that editors wait for.
const ROOT: &str = "mirrord preparing to launch";

/// By which an editor asks for the summary of the configuration.
const PRINT_CONFIG: &str = "MIRRORD_EXT_PRINT_CONFIG";

pub(crate) fn run(arguments: &ExtArguments) -> Result<ExitCode, Report> {
    launch::refuse_nesting()?;
    let mut progress = Progress::for_editor(ROOT);
    let resolved = settings::load(arguments.config.config_file.as_deref(), arguments.target.overrides())?;
    let lowered = &resolved.lowered;
    for warning in &resolved.warnings {
        progress.warn(warning, None);
    }
    let overlay = Overlay::load(&lowered.environment)?;
    let executable = arguments.executable.as_deref().map(Path::as_os_str);
    let supervised = executable.map(|it| supervised(it, lowered, &progress)).transpose()?.flatten();
    if executable.is_none() && lowered.engine == Engine::Supervisor {
        let hint = "name the program's file with `--executable`";
        progress.warn("without the name of the program there is only the layer", Some(hint));
    }
    let takes_layer = supervised.is_none();
    let Session { order, ready, layer, proxy } = launch::stand(lowered, &mut progress, None, takes_layer)?;

    let mut variables = Variables::default();
    if let Some(theirs) = env::var_os(PRELOAD) {
        variables.set(PRELOAD, theirs);
    }
    let mut variables = overlay.lay_over(variables, &ready.environment);
    Injection { layer: layer.as_deref(), address: &ready.address, session_id: &order.session_id }
        .lay_into(&mut variables);
    if let Some(program) = &supervised {
        variables.set(in_place::PROGRAM, program);
    }
    if env::var(PRINT_CONFIG).is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        for line in summary::lines(lowered, order.data_path, &ready.hostname, &order.session_id) {
            progress.info(&line);
        }
    }
    let own = supervised.map(|_| env::current_exe()).transpose().map_err(NoFile)?;
    let answer = json!({
        "environment": environment(variables, &progress),
        "patched_path": own.map(|own| own.to_string_lossy().into_owned()),
        "env_to_unset": unset(&lowered.environment.unset),
        "uses_operator": false,
    });
    progress.finish(&answer.to_string());
    proxy.wait(|word| match word {
        Word::Progress(words) => progress.info(&words),
        Word::Warning(words) => progress.warn(&words, None),
    });
    Ok(ExitCode::SUCCESS)
}

/// Why an editor cannot be told what to start.
#[derive(Debug, Error)]
#[error("cannot tell where this very program lies")]
struct NoFile(#[source] io::Error);

impl Explain for NoFile {
    fn hint(&self) -> Option<String> {
        Some("run `mirrord` by its path".to_owned())
    }
}

/// The program's file, if it is to be supervised: then the editor must start us in its place. One that cannot be found
/// may be the editor's own affair.
fn supervised(executable: &OsStr, lowered: &Lowered, progress: &Progress) -> Result<Option<PathBuf>, Report> {
    let path = env::var_os("PATH");
    let Ok(file) = program::find(executable, path.as_deref()) else { return Ok(None) };
    let command = [executable.to_owned()];
    let inspection = inspect::inspect(&file, &command, path.as_deref(), &lowered.rules.process);
    let Chosen::Supervisor(why) = engine::choose(lowered.engine, &inspection, progress)? else {
        return Ok(None);
    };
    progress.info(&Chosen::Supervisor(why).words());
    progress.warn(
        &format!("`{}` is a guest only if `patched_path` is started in its place", file.display()),
        Some("use an editor that does so, or run the program by `mirrord exec` in its terminal"),
    );
    Ok(Some(std::path::absolute(&file).unwrap_or(file)))
}

/// The variables as JSON has them, which knows no bytes that are not text.
fn environment(variables: Variables, progress: &Progress) -> Value {
    let mut map = Map::new();
    for (name, value) in variables.into_pairs() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => drop(map.insert(name, value.into())),
            (name, _) => {
                let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                progress.warn(&format!("left the variable `{name}` out, which is not text"), None);
            }
        }
    }
    Value::Object(map)
}

/// What the editor is to take away: as it is written, and as this process has it.
fn unset(names: &[String]) -> Vec<String> {
    let mut unset = names.to_vec();
    let own = env::vars_os().filter_map(|(name, _)| OsString::into_string(name).ok());
    unset.extend(own.filter(|own| names.iter().any(|name| own.eq_ignore_ascii_case(name))));
    unset.sort();
    unset.dedup();
    unset
}
