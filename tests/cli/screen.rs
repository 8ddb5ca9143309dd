//! Runs `mirrord` with nothing of the developer's around it, and makes its words the same everywhere.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use mirrord_tests::programs;
use tempfile::TempDir;

/// A place to run from: an empty home, and folders for files and programs of the story.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A script that is found before every other program of its name.
    pub(crate) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `mirrord`, ready to be told more.
    pub(crate) fn mirrord(&self, words: &[&str]) -> Command {
        let mut command = programs::command();
        command
            .args(words)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.path("bin").display()),
            )
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end: what is seen on the screen.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.seen(&self.mirrord(words).output().unwrap())
    }

    /// What is seen of a run that has ended.
    pub(crate) fn seen(&self, output: &Output) -> String {
        let end = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        let mut seen = String::new();
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                let words = self.plain(&String::from_utf8_lossy(bytes));
                let line_end = if words.ends_with('\n') { "" } else { "\n" };
                seen.extend([&format!("--- {name}\n"), words.as_str(), line_end]);
            }
        }
        format!("{seen}--- {end}")
    }

    /// Words without what differs from run to run.
    fn plain(&self, text: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let text = text
            .replace(&canonical(self.folder.path()), "[desk]")
            .replace(&self.folder.path().display().to_string(), "[desk]")
            .replace(&programs::built().display().to_string(), "[built]")
            .replace(&format!("mirrord {version}"), "mirrord [version]");
        let pieces = text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric());
        pieces.map(plain_word).collect()
    }
}

fn canonical(path: &Path) -> String {
    fs::canonicalize(path).unwrap().display().to_string()
}

/// A session's id is 32 hexadecimal digits.
fn plain_word(piece: &str) -> String {
    let word = piece.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
    if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        format!("[session]{}", &piece[word.len()..])
    } else {
        piece.to_owned()
    }
}
