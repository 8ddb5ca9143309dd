//! What a session could leave in a cluster, and on this machine, where the cluster's node is this machine.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::{ClusterSession, Namespace, session::MARK};
use crate::{ground::is_root, programs::system, transcript::Transcript};

/// Nothing may be left after this long.
const PATIENCE: Duration = Duration::from_secs(10);

impl Namespace {
    /// Waits until nothing of a session is left anywhere.
    ///
    /// # Panics
    /// When something is, after ten seconds.
    pub fn assert_clean(&self, sessions: &[&ClusterSession]) {
        let start = Instant::now();
        loop {
            let left = self.traces(sessions);
            if left.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "left in {}:\n{}", self.name, left.join("\n"));
        }
    }

    fn traces(&self, sessions: &[&ClusterSession]) -> Vec<String> {
        let mut left: Vec<String> = processes(|environment| {
            sessions.iter().any(|it| environment.contains(&format!("{MARK}={}\0", it.mark)))
        });
        let objects = self.said(&["get", "jobs,pods", "-l", "app=mirrord", "-o", "name"]);
        left.extend(objects.lines().map(str::to_owned));
        left.extend(self.rules());
        left
    }

    /// The agents of this namespace that run on this machine: their processes.
    #[must_use]
    pub fn agents(&self) -> Vec<i32> {
        let path = "jsonpath={.items[*].metadata.uid}";
        let uids = self.said(&["get", "pods", "-l", "app=mirrord", "-o", path]);
        let uids: Vec<String> = uids.split_whitespace().map(|uid| format!("pod{uid}")).collect();
        let is_ours = |folder: &Path| {
            let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
            let words = fs::read(folder.join("cmdline")).unwrap_or_default();
            words.starts_with(b"/mirrord-agent") && uids.iter().any(|uid| groups.contains(uid.as_str()))
        };
        let found = fs::read_dir("/proc").unwrap().flatten().filter(|entry| is_ours(&entry.path()));
        found.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Whether pods of this namespace run on this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        let uids = self.said(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]);
        let uids: Vec<String> = uids.split_whitespace().map(|uid| format!("pod{uid}")).collect();
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            uids.iter().any(|uid| groups.contains(uid.as_str()))
        })
    }

    /// The firewall rules, and agents, in the pods of this namespace that stand on this machine.
    fn rules(&self) -> Vec<String> {
        if !is_root() || system("nft").is_none() {
            return Vec::new();
        }
        let uids = self.said(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]);
        let uids: Vec<String> = uids.split_whitespace().map(|uid| format!("pod{uid}")).collect();
        let mut left = Vec::new();
        let mut seen = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            let Some(uid) = uids.iter().find(|uid| groups.contains(uid.as_str())) else { continue };
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if words.starts_with(b"/mirrord-agent") {
                left.push(format!("an agent in {uid}"));
            }
            if !seen.contains(uid) {
                seen.push(uid.clone());
                let pid = entry.file_name().to_string_lossy().into_owned();
                let mut nft = Command::new("nsenter");
                let told = Transcript::of(nft.args(["-t", &pid, "-n", "nft", "list", "ruleset"]));
                left.extend(told.stdout.lines().map(|line| format!("rule in {uid}: {line}")));
            }
        }
        left
    }
}

impl ClusterSession {
    /// The processes of this session on this machine whose command line has this in it.
    #[must_use]
    pub fn processes(&self, what: &str) -> Vec<i32> {
        let mark = format!("{MARK}={}\0", self.mark);
        let found = processes(|environment| environment.contains(&mark));
        let found = found.iter().filter(|it| it.contains(what));
        found.filter_map(|it| it.split_whitespace().nth(1)?.parse().ok()).collect()
    }
}

fn processes(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if is_wanted(&String::from_utf8_lossy(&environment)) {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            found.push(format!("process {} {words}", entry.file_name().to_string_lossy()));
        }
    }
    found
}
