//! What the proxy writes down, if the user wants a log at all.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};

use tracing_subscriber::EnvFilter;

/// Starts the log. Without a file nothing is written, and nothing costs anything.
pub(crate) fn start(file: Option<&Path>, level: &str) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    // Paths and names of the developer's are nobody else's affair.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}
