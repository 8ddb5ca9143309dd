//! What the proxy writes down, if the user wants a log at all.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};

use tracing_subscriber::EnvFilter;

/// Starts the log, with an object on each line if it is to be JSON. Without a file nothing is written, and nothing
/// costs anything.
pub(crate) fn start(file: Option<&Path>, level: &str, as_json: bool) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    // Paths and names of the developer's are nobody else's affair.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    let filter = EnvFilter::try_new(level).map_err(io::Error::other)?;
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
    let started = if as_json {
        let log = log.json().with_current_span(false).with_span_list(false);
        tracing::subscriber::set_global_default(log.finish())
    } else {
        tracing::subscriber::set_global_default(log.finish())
    };
    started.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_log_of_json_has_an_object_on_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        start(Some(&path), "info", true).unwrap();
        tracing::info!(port = 80, error = ?"two\nlines", "\"quoted\"\n");
        tracing::warn!("again");
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ours: Vec<_> = lines.iter().filter(|it| it["target"] == module_path!()).collect();
        assert_eq!(ours.len(), 2, "{text}");
        assert_eq!(
            ours[0]["fields"],
            json!({ "message": "\"quoted\"\n", "port": 80, "error": "\"two\\nlines\"" })
        );
        assert_eq!(ours[1]["level"], "WARN");
    }
}
