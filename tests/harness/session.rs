//! `mirrord exec`, as a story starts it.

use std::{fs, io::Write, path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{pod::Pod, programs};

/// How descriptors reach the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPath {
    /// Made there, and passed.
    Passed,
    /// Made here, and relayed.
    Proxied,
}

impl DataPath {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Passed, Self::Proxied];

    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Proxied => "proxied",
        }
    }
}

/// How a guest's calls are caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// As the program allows.
    #[default]
    Auto,
    /// By the library within.
    Layer,
    /// By the supervisor beside.
    Supervisor,
}

impl Engine {
    /// The two that there are.
    pub const BOTH: [Self; 2] = [Self::Layer, Self::Supervisor];

    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Layer => "layer",
            Self::Supervisor => "supervisor",
        }
    }
}

/// What a session is to do; its configuration file lives as long as this.
#[derive(Debug)]
pub struct Session {
    target: String,
    data_path: DataPath,
    engine: Engine,
    file: NamedTempFile,
}

impl Session {
    /// A session with a pod. `feature` is what the configuration has under that key.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    #[must_use]
    pub fn new(pod: &Pod, data_path: DataPath, feature: &Value) -> Self {
        Self::with(&pod.target(), data_path, feature)
    }

    /// A session with any target.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    #[must_use]
    pub fn with(target: &str, data_path: DataPath, feature: &Value) -> Self {
        let mut file = tempfile::Builder::new().prefix("story-").suffix(".json").tempfile().unwrap();
        let configuration = json!({ "feature": feature });
        file.write_all(configuration.to_string().as_bytes()).unwrap();
        Self { target: target.to_owned(), data_path, engine: Engine::default(), file }
    }

    /// With an engine that is ordered.
    #[must_use]
    pub fn by(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// `mirrord exec`, up to the command that is still to come.
    #[must_use]
    pub fn exec(&self) -> Command {
        let mut command = programs::command();
        command
            .arg("exec")
            .args(["--target", &self.target, "--data-path", self.data_path.name()])
            .args(["--engine", self.engine.name()])
            .arg("--config-file")
            .arg(self.file.path())
            .arg("--")
            .current_dir("/tmp")
            .env("MIRRORD_PROGRESS_MODE", "off");
        command
    }

    /// With a proxy that stays only so many seconds after its last guest.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    #[must_use]
    pub fn idle_for(self, seconds: u64) -> Self {
        let text = fs::read_to_string(self.file.path()).unwrap();
        let mut configuration: Value = serde_json::from_str(&text).unwrap();
        configuration["internal_proxy"] = json!({ "idle_timeout": seconds });
        fs::write(self.file.path(), configuration.to_string()).unwrap();
        self
    }

    /// A program as the guest.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.exec();
        command.arg(program);
        command
    }
}
