//! What the proxy writes down, if the user wants a log at all.

use std::{fmt, fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Starts the log. Without a file nothing is written, and nothing costs anything.
pub(crate) fn start(file: Option<&Path>, level: &str, as_json: bool) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    // Paths and names of the developer's are nobody else's affair.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
    let started = if as_json {
        tracing::subscriber::set_global_default(log.event_format(Json).finish())
    } else {
        tracing::subscriber::set_global_default(log.finish())
    };
    started.map_err(io::Error::other)
}

/// An object for each line.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = json!({
            "timestamp": time,
            "level": metadata.level().as_str(),
            "target": metadata.target(),
            "fields": fields.0,
        });
        writeln!(writer, "{line}")
    }
}

/// What an event tells.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
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
