//! A session that can be recognised wherever it leaves something, and the list of places to look at.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mirrord_tests::{
    eventually::eventually,
    pod::Pod,
    programs::system,
    session::{DataPath, Session},
    transcript::Transcript,
};
use serde_json::Value;
use tempfile::TempDir;

/// The environment variable by which every process of the session is known.
const MARK: &str = "MIRRORD_STORY";

/// A developer's desk: a home and a folder for temporary files of its own.
pub(crate) struct Desk<'a> {
    pod: &'a Pod,
    session: Session,
    folder: TempDir,
    mark: String,
    before: BTreeSet<String>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(pod: &'a Pod, data_path: DataPath, feature: &Value) -> Self {
        Self::of(pod, Session::new(pod, data_path, feature))
    }

    /// A desk for any session with that pod.
    pub(crate) fn of(pod: &'a Pod, session: Session) -> Self {
        let folder = tempfile::Builder::new().prefix("desk-").tempdir().unwrap();
        for name in ["tmp", "home", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mark = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let mut desk = Self { pod, session, folder, mark, before: BTreeSet::new() };
        desk.before = desk.traces();
        desk
    }

    /// `mirrord exec` with a program, all of whose traces can be found.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.command_of(&system(program).unwrap())
    }

    /// The same, by its file.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = self.session.command(program);
        let at = |name: &str| self.folder.path().join(name);
        command
            .env(MARK, &self.mark)
            .env("TMPDIR", at("tmp"))
            .env("HOME", at("home"))
            .env("XDG_CACHE_HOME", at("home"))
            .env("XDG_RUNTIME_DIR", at("run"));
        command
    }

    /// The same, started by a shell that does something first.
    pub(crate) fn behind(&self, script: &str, program: &str) -> Command {
        let plain = self.command(program);
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir("/tmp");
        command
    }

    /// The same, in a namespace of mounts where the folders for everything that might be written are full disks.
    pub(crate) fn on_a_full_disk(&self, program: &str) -> Command {
        let fill = "for folder in \"$TMPDIR\" \"$HOME\" \"$XDG_RUNTIME_DIR\"; do \
                    mount -t tmpfs -o size=4k full \"$folder\"; cp /dev/zero \"$folder/x\" 2>/dev/null; done; \
                    exec \"$@\"";
        let inner = self.behind(fill, program);
        let mut command = Command::new("unshare");
        command.arg("-m").arg(inner.get_program()).args(inner.get_args()).current_dir("/tmp");
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Whatever uses sessions next: it removes the socket that a killed proxy could not.
    pub(crate) fn look_for_sessions(&self) {
        let mut command = mirrord_tests::programs::command();
        command.args(["session", "list"]).env("HOME", self.folder.path().join("home"));
        let told = Transcript::of(&mut command);
        assert_eq!(told.code, Some(0), "{told:?}");
    }

    /// The sockets by which sessions are known.
    pub(crate) fn sockets(&self) -> usize {
        fs::read_dir(self.folder.path().join("home/.mirrord/sessions")).into_iter().flatten().count()
    }

    /// The processes of the session: number, and command line.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("{MARK}={}", self.mark);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|&byte| byte == 0).any(|it| it == mark.as_bytes()) {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((pid, String::from_utf8_lossy(&words).replace('\0', " ")));
            }
        }
        found
    }

    /// The process of the session whose command line has this in it.
    pub(crate) fn find(&self, what: &str) -> i32 {
        eventually(&format!("a process `{what}`"), Duration::from_secs(20), || {
            self.processes().into_iter().find(|(_, words)| words.contains(what)).map(|(pid, _)| pid)
        })
    }

    /// Waits until nothing is there that was not there before.
    pub(crate) fn assert_clean(&self, story: &str) {
        let start = std::time::Instant::now();
        let mut left: Vec<String>;
        loop {
            left = self.traces().symmetric_difference(&self.before).cloned().collect();
            if left.is_empty() {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(15), "{story} has left:\n{}", left.join("\n"));
            std::thread::yield_now();
        }
    }

    /// Everything that a session could leave: processes, rules, mounts, sockets, files.
    fn traces(&self) -> BTreeSet<String> {
        let mut traces = BTreeSet::new();
        let mut note = |kind: &str, what: &str| traces.insert(format!("{kind}: {what}"));
        let mut sessions = BTreeSet::new();
        for (pid, words) in self.processes() {
            note("process", &format!("{pid} {words}"));
            sessions.insert(pid);
        }
        let there = PathBuf::from(format!("/proc/{}", self.pod.pid()));
        for name in ["net/unix", "net/packet", "mountinfo"] {
            for line in fs::read_to_string(there.join(name)).unwrap_or_default().lines() {
                // The first column is an address in memory, and the rest says the same.
                note(&format!("the pod's {name}"), line.split_once(' ').map_or(line, |it| it.1));
            }
        }
        for name in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
            for line in fs::read_to_string(there.join(name)).unwrap_or_default().lines().skip(1) {
                let mut words = line.split_whitespace().skip(1);
                let (own, _, state) = (words.next(), words.next(), words.next());
                // Listening, or a datagram socket.
                if matches!(state, Some("0A" | "07")) {
                    note(&format!("the pod's {name}"), own.unwrap_or_default());
                }
            }
        }
        if system("nft").is_some() {
            let rules = Transcript::of(self.pod.command("nft").args(["list", "ruleset"]));
            rules.stdout.lines().for_each(|line| {
                note("rule", line);
            });
        }
        for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
            if line.contains("mirrord") && line.contains(&self.mark) {
                note("mount", line);
            }
        }
        for folder in ["tmp", "home", "run"] {
            list(&self.folder.path().join(folder), &mut |path| {
                note("file", &path.display().to_string());
            });
        }
        for folder in ["/tmp", "/run", "/dev/shm", "/var", "/data/out", "/app", "/etc"] {
            list(&self.pod.path(folder), &mut |path| {
                note("file there", &path.display().to_string());
            });
        }
        traces
    }
}

/// The name of the layers' socket, as the guest has it.
pub(crate) fn socket_of(pid: i32) -> String {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let entries = environment.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    let mut found =
        entries.filter_map(|it| it.strip_prefix("MIRRORD_LAYER_INTPROXY_ADDR=").map(str::to_owned));
    found.next().unwrap_or_default()
}

/// Whether a unix socket of this name exists on this machine.
pub(crate) fn is_socket(name: &str) -> bool {
    fs::read_to_string("/proc/net/unix").unwrap().lines().any(|line| line.ends_with(name))
}

fn list(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        visit(&entry.path());
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            list(&entry.path(), visit);
        }
    }
}
