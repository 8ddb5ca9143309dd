//! `mirrord extract`: the layer, written where the developer wants it.

use std::{fs, io, path::Path, path::PathBuf, process::ExitCode};

use thiserror::Error;

use crate::{
    assets::{self, Asset},
    printer,
    report::{Explain, Report},
};

#[derive(Debug, Error)]
#[error("cannot write the layer to `{}`", to.display())]
struct ExtractError {
    to: PathBuf,
    #[source]
    why: io::Error,
}

impl Explain for ExtractError {
    fn hint(&self) -> Option<String> {
        Some("name a folder that exists and that you may write to".to_owned())
    }

    fn code(&self) -> u8 {
        1
    }
}

pub(crate) fn run(folder: &Path) -> Result<ExitCode, Report> {
    let to = folder.join(Asset::LAYER.file_name);
    let bytes = assets::bytes(&Asset::LAYER).map_err(|error| Report { code: 1, ..Report::from(error) })?;
    fs::write(&to, bytes).map_err(|why| ExtractError { to: to.clone(), why })?;
    printer::data(to.display());
    Ok(ExitCode::SUCCESS)
}
