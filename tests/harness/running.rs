//! A program that runs while the story goes on.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{sys::signal, unistd::Pid};
use tempfile::NamedTempFile;

use crate::eventually::eventually;

/// A program, and what it has said so far. It ends with the story.
#[derive(Debug)]
pub struct Running {
    child: Child,
    words: NamedTempFile,
    name: String,
}

impl Running {
    /// Starts it; both of its streams are written down.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let words = NamedTempFile::new().unwrap();
        let out = fs::File::options().append(true).open(words.path()).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let name = format!("{command:?}").chars().take(200).collect();
        Self { child: command.spawn().unwrap(), words, name }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// What it has said so far.
    #[must_use]
    pub fn words(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.words.path()).unwrap()).into_owned()
    }

    /// Waits until it has said something.
    ///
    /// # Panics
    /// When it does not within half a minute, or has ended: with what it said instead.
    pub fn says(&mut self, what: &str) {
        eventually(&format!("`{what}` of {}", self.name), Duration::from_secs(30), || {
            // Asked first: its last words come before its end.
            let ended = self.child.try_wait().unwrap();
            let words = self.words();
            if words.contains(what) {
                return Some(());
            }
            assert!(ended.is_none(), "{} ended ({ended:?}) and never said `{what}`:\n{words}", self.name);
            None
        });
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: signal::Signal) {
        let _ = signal::kill(Pid::from_raw(self.pid()), signal);
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end: its exit code, or 128 and the signal.
    ///
    /// # Panics
    /// When it does not end within half a minute.
    pub fn end(&mut self) -> i32 {
        let name = format!("the end of {}", self.name);
        let status = eventually(&name, Duration::from_secs(30), || self.child.try_wait().unwrap());
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
