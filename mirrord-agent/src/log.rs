//! What the agent tells on stderr, which in a cluster is the log of its container.

use std::io;

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Starts the log, with an object on each line if it is to be JSON. Fails if `level` is no level and no directives.
pub(crate) fn start(level: &str, as_json: bool) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(level)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    if as_json {
        log.json().with_current_span(false).with_span_list(false).init();
    } else {
        log.init();
    }
    Ok(())
}
