//! `mirrord session` and `mirrord kill`: which sessions of this user run on this machine, and their end.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use comfy_table::{Table, presets};
use thiserror::Error;

use super::agents;
use crate::{
    args::{SessionArguments, SessionCommand, SessionListArguments, StopArguments},
    printer,
    registry::{self, Folder, Gone, Info},
    report::{Explain, Report},
};

/// How long a session may take to end: its programs are asked first.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a session was not ended.
#[derive(Debug, Error)]
enum SessionError {
    #[error("cannot find the session `{0}`")]
    NotFound(String),
    #[error("cannot find a session with the key `{0}`")]
    NoKey(String),
    #[error("`{begin}` may mean {n} sessions")]
    Several { begin: String, n: usize },
    #[error("cannot end the session `{id}`")]
    NotEnded {
        id: String,
        #[source]
        why: Gone,
    },
    #[error("the session `{0}` was told to end, and is still there")]
    StillThere(String),
    #[error("cannot ask")]
    CannotAsk(#[source] std::io::Error),
}

impl Explain for SessionError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) | Self::NoKey(_) | Self::Several { .. } => {
                Some("`mirrord session list` tells every session".to_owned())
            }
            Self::NotEnded { .. } | Self::StillThere(_) => {
                Some("end its program: its session ends with it".to_owned())
            }
            Self::CannotAsk(_) => None,
        }
    }
}

pub(crate) fn run(arguments: &SessionArguments) -> Result<ExitCode, Report> {
    match &arguments.what {
        None => list(&arguments.list),
        Some(SessionCommand::List(arguments)) => list(arguments),
        Some(SessionCommand::Stop(arguments)) => stop(arguments),
    }
}

/// Ends sessions.
pub(crate) fn stop(arguments: &StopArguments) -> Result<ExitCode, Report> {
    in_runtime(async {
        let (folder, sessions) = all().await;
        let chosen = choose(arguments, &sessions)?;
        for info in chosen {
            let Some(folder) = &folder else { continue };
            end(folder, info).await?;
            printer::talk(format_args!("ended the session `{}` with `{}`", info.session_id, info.target));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn in_runtime<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(SessionError::CannotAsk)?.block_on(work)
}

/// Every session that answers, the oldest first. Without the folder there is none.
async fn all() -> (Option<Folder>, Vec<Info>) {
    let Ok(folder) = Folder::find() else { return (None, Vec::new()) };
    let mut sessions = Vec::new();
    for id in folder.sessions().unwrap_or_default() {
        // One that ends just now is none.
        sessions.extend(registry::info(&folder, &id).await.ok());
    }
    sessions.sort_by(|one, other| one.started_at.cmp(&other.started_at));
    (Some(folder), sessions)
}

fn choose<'a>(arguments: &StopArguments, sessions: &'a [Info]) -> Result<Vec<&'a Info>, SessionError> {
    if let Some(key) = &arguments.key {
        let chosen: Vec<_> = sessions.iter().filter(|info| info.key == *key).collect();
        return if chosen.is_empty() { Err(SessionError::NoKey(key.clone())) } else { Ok(chosen) };
    }
    let begin = arguments.id.clone().unwrap_or_default();
    let chosen: Vec<_> = sessions.iter().filter(|info| info.session_id.starts_with(&begin)).collect();
    match chosen.len() {
        _ if begin.is_empty() => Err(SessionError::NotFound(begin)),
        0 => Err(SessionError::NotFound(begin)),
        1 => Ok(chosen),
        n => Err(SessionError::Several { begin, n }),
    }
}

async fn end(folder: &Folder, info: &Info) -> Result<(), SessionError> {
    let id = &info.session_id;
    match registry::kill(folder, id).await {
        Ok(()) | Err(Gone::Dead) => {}
        Err(why) => return Err(SessionError::NotEnded { id: id.clone(), why }),
    }
    let since = Instant::now();
    while registry::is_there(folder, id) {
        if since.elapsed() > PATIENCE {
            return Err(SessionError::StillThere(id.clone()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn list(arguments: &SessionListArguments) -> Result<ExitCode, Report> {
    in_runtime(async {
        if arguments.agents {
            return agents::list(arguments).await;
        }
        let (_, mut sessions) = all().await;
        sessions.retain(|info| {
            arguments.key.as_ref().is_none_or(|key| info.key == *key)
                && arguments.namespace.as_ref().is_none_or(|it| info.namespace.as_ref() == Some(it))
        });
        if sessions.is_empty() {
            printer::talk("no sessions");
        } else {
            printer::data(table(&sessions));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A row for each process; what is said of the session is said in its first.
fn table(sessions: &[Info]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "SESSION ID",
        "PROCESS ID",
        "KEY",
        "TARGET",
        "NAMESPACE",
        "USER",
        "PROCESS NAME",
        "COMMAND LINE",
        "TIME UP",
    ]);
    for info in sessions {
        let processes = info.processes.iter().map(Some).chain(info.processes.is_empty().then_some(None));
        for (index, process) in processes.enumerate() {
            let once = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
            table.add_row([
                once(&info.session_id),
                process.map(|process| process.pid.to_string()).unwrap_or_default(),
                once(&info.key),
                once(&info.target),
                once(info.namespace.as_deref().unwrap_or_default()),
                once(&info.user),
                process.map(|process| process.process_name.clone()).unwrap_or_default(),
                process.map(|process| shortened(&process.cmdline.join(" "))).unwrap_or_default(),
                once(&registry::since(&info.started_at).map(duration).unwrap_or_default()),
            ]);
        }
    }
    table
}

/// As much of a command line as a row has room for, and nothing that does something to a terminal.
fn shortened(words: &str) -> String {
    const MOST: usize = 60;
    let plain = words.replace(char::is_control, " ");
    match plain.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

/// `3h 12m`, `45s`.
pub(super) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_its_two_largest_units() {
        let told = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([told(0), told(59), told(61)], ["0s", "59s", "1m 1s"]);
        assert_eq!([told(3600), told(90_061)], ["1h 0m", "1d 1h"]);
    }

    #[test]
    fn a_long_command_line_is_cut_between_letters() {
        assert_eq!(shortened("a\tb"), "a b");
        assert_eq!(shortened(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
