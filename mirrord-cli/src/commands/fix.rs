//! `mirrord fix kubeconfig`: credential plugins by their whole path.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use mirrord_kube::kubeconfig;
use thiserror::Error;

use crate::{
    printer,
    report::{Explain, Report},
};

#[derive(Debug, Error)]
#[error("cannot write `{}`", path.display())]
struct WriteError {
    path: PathBuf,
    #[source]
    why: io::Error,
}

impl Explain for WriteError {
    fn hint(&self) -> Option<String> {
        Some(
            "see that the file and its folder are yours to write, or look at the change with `--dry-run`"
                .to_owned(),
        )
    }
}

pub(crate) fn run(path: Option<&Path>, is_dry: bool) -> Result<ExitCode, Report> {
    let fix = kubeconfig::fix(path, &env::var_os("PATH").unwrap_or_default())?;
    let place = format!("user `{}` of `{}`", fix.user, fix.path.display());
    match &fix.new {
        None => printer::talk(format_args!("nothing to repair: {place} runs `{}`", fix.old)),
        Some(new) if is_dry => {
            printer::talk(format_args!("would change: {place} runs `{}`, and would run `{new}`", fix.old));
        }
        Some(new) => {
            fix.write().map_err(|why| WriteError { path: fix.path.clone(), why })?;
            printer::talk(format_args!("changed: {place} ran `{}`, and runs `{new}`", fix.old));
        }
    }
    Ok(ExitCode::SUCCESS)
}
