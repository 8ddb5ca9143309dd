//! The sessions of this user on this machine: each proxy answers on a socket of its own in one folder
//! (`~/.mirrord/sessions`).
//!
//! The socket is the only thing of a session that has a name on a disk, since other tools look for it there. It goes
//! with its session; that of a proxy that was killed is removed by whoever finds that nobody answers.

mod announce;
mod ask;
mod clock;
mod folder;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use announce::Announcement;
pub(crate) use ask::{Gone, info, is_there, kill};
pub(crate) use clock::{now, since};
pub(crate) use folder::Folder;

/// `GET /info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Info {
    pub(crate) session_id: String,
    pub(crate) key: String,
    pub(crate) target: String,
    pub(crate) namespace: Option<String>,
    pub(crate) context: Option<String>,
    /// RFC 3339.
    pub(crate) started_at: String,
    pub(crate) mirrord_version: String,
    pub(crate) is_operator: bool,
    /// Who began it.
    #[serde(default)]
    pub(crate) user: String,
    pub(crate) processes: Vec<Process>,
    pub(crate) port_subscriptions: Vec<PortSubscription>,
    pub(crate) config: Value,
}

/// A process of the guest.
#[expect(clippy::struct_field_names, reason = "other tools know these names")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent_pid: i32,
    pub(crate) process_name: String,
    pub(crate) cmdline: Vec<String>,
}

/// A port of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortSubscription {
    pub(crate) port: u16,
    /// `steal` or `mirror`.
    pub(crate) mode: String,
}

impl Process {
    /// A process that lives.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
        let status = String::from_utf8_lossy(&read("status")?).into_owned();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("State:").is_some_and(|state| state.starts_with(['Z', 'X'])) {
            return None;
        }
        let words = read("cmdline")?;
        let words = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let mut words: Vec<String> = words.collect();
        // Each word ends with a zero.
        if words.last().is_some_and(String::is_empty) {
            words.pop();
        }
        Some(Self {
            pid,
            parent_pid: field("PPid:")?.parse().ok()?,
            process_name: field("Name:")?.to_owned(),
            cmdline: words,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_name_its_words_and_its_parent() {
        let us = i32::try_from(std::process::id()).unwrap();
        let process = Process::of(us).unwrap();
        assert_eq!(process.parent_pid, rustix::process::getppid().unwrap().as_raw_nonzero().get());
        assert_eq!(process.cmdline, std::env::args().collect::<Vec<_>>());
        assert_eq!(Process::of(4_194_305), None);
    }
}
