//! The only file that writes to the terminal: talk to the standard error, data to the standard output.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use crate::{proxy::start::StandardError, report::Report};

/// A line of talk, in one piece, so that no other writer comes between. A reader that has gone away is no reason to fail.
pub(crate) fn talk(line: impl Display) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// A line of data. A reader that has gone away is no reason to fail.
pub(crate) fn data(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Data as it is.
pub(crate) fn raw_data(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

/// Several lines of data, in one piece and at once. Fails when nobody reads them any more.
pub(crate) fn block(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether somebody watches the talk.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// By what the standard error is known again.
pub(crate) fn screen() -> Option<StandardError> {
    let stat = rustix::fs::fstat(io::stderr()).ok()?;
    Some(StandardError { device: stat.st_dev, inode: stat.st_ino, special: stat.st_rdev })
}

/// Why a command failed.
pub(crate) fn tell_report(report: &Report) {
    talk(report);
}

/// Why a command failed, for an editor.
pub(crate) fn tell_report_as_json(report: &Report, command: &str) {
    talk(report.to_json(command));
}

/// What clap has to say: help and version are data, a wrong command line is talk.
pub(crate) fn tell_usage(usage: &clap::Error) -> ExitCode {
    let _ = usage.print();
    ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
}
