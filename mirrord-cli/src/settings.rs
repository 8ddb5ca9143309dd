//! What the world says to a configuration: file, environment, flags, branch; captured, and handed to be resolved.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use mirrord_config::{FileSource, Input, Problems, Resolved, resolve};

use crate::{
    random,
    report::{BEFORE_THE_GUEST, Report},
};

/// Resolves what a command is told.
pub(crate) fn load(file: Option<&Path>, flags: BTreeMap<&'static str, String>) -> Result<Resolved, Report> {
    let named = || env::var_os("MIRRORD_CONFIG_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = file.map(Path::to_owned).or_else(named);
    let file = path.as_deref().map(FileSource::read).transpose().map_err(|problems| report(&problems))?;
    with_input(file, flags, resolve).map_err(|problems| report(&problems))
}

/// Captures everything that a configuration is made of.
pub(crate) fn with_input<T>(
    file: Option<FileSource>,
    flags: BTreeMap<&'static str, String>,
    ask: impl FnOnce(&Input<'_>) -> T,
) -> T {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    ask(&Input {
        file,
        environment: env::vars_os().filter_map(text).collect(),
        flags,
        git_branch: &git_branch,
        home: env::var_os("HOME").map(PathBuf::from),
        temp_dir: env::temp_dir(),
        make_key: &|| random::hex(3)[..5].to_owned(),
    })
}

fn git_branch() -> Option<String> {
    let output = Command::new("git")
        .args(["branch", "--show-current"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let branch = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !branch.is_empty()).then_some(branch)
}

/// One problem is the error; several are told beneath it.
fn report(problems: &Problems) -> Report {
    let hints = problems.0.iter().filter_map(|problem| problem.hint.clone());
    let (what, causes) = match problems.0.as_slice() {
        [only] => (only.to_string(), Vec::new()),
        several => {
            let causes = several.iter().map(ToString::to_string).collect();
            (format!("the configuration has {} faults", several.len()), causes)
        }
    };
    let mut hints: Vec<String> = hints.collect();
    hints.dedup();
    let hint = (!hints.is_empty()).then(|| hints.join("\n      "));
    Report { what, causes, hint, code: BEFORE_THE_GUEST }
}
