//! `mirrord` as a developer starts it, with a target in a cluster.

use std::{
    io::Write,
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{Namespace, agent_image};
use crate::programs;

/// The environment variable by which every process of a session is known.
pub(super) const MARK: &str = "MIRRORD_STORY";

/// What a session is to do; its files live as long as this.
#[derive(Debug)]
pub struct ClusterSession {
    file: NamedTempFile,
    kubeconfig: NamedTempFile,
    namespace: String,
    pub(super) mark: String,
}

impl Namespace {
    /// A session of the developer with a target of this namespace; `more` is laid over the configuration.
    #[must_use]
    pub fn session(&self, target: &str, more: &Value) -> ClusterSession {
        self.session_by(target, more, None)
    }

    /// The same, where the API server is reached at another address.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    #[must_use]
    pub fn session_by(&self, target: &str, more: &Value, server: Option<&str>) -> ClusterSession {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let kubeconfig = written("kubeconfig-", &self.cluster.ann(server));
        let mut configuration = json!({
            "kubeconfig": kubeconfig.path(),
            "target": { "path": target, "namespace": self.name },
            "agent": { "image": agent_image(), "image_pull_policy": "IfNotPresent" },
        });
        lay_over(&mut configuration, more);
        let mark = format!("{}-{}", self.name, COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = self.name.clone();
        ClusterSession { file: written("story-", &configuration), kubeconfig, namespace, mark }
    }
}

impl ClusterSession {
    /// `mirrord`, as this developer, who knows of no other cluster.
    #[must_use]
    pub fn mirrord(&self) -> Command {
        let mut command = programs::command();
        command.current_dir("/tmp").env("MIRRORD_PROGRESS_MODE", "off").env(MARK, &self.mark);
        command.env_remove("MIRRORD_TEST_KUBECONFIG").env("KUBECONFIG", self.kubeconfig.path());
        command
    }

    /// `kubectl` as this developer, in the target's namespace.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = super::kubectl(self.kubeconfig.path());
        command.args(["--namespace", &self.namespace]);
        command
    }

    /// `mirrord exec` with this program.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.mirrord();
        command.arg("exec").arg("--config-file").arg(self.file.path()).arg("--").arg(program.as_ref());
        command
    }

    /// Another command of `mirrord`, with this configuration.
    #[must_use]
    pub fn other(&self, name: &str) -> Command {
        self.other_of(&[name])
    }

    /// The same, where its name has several words.
    #[must_use]
    pub fn other_of(&self, name: &[&str]) -> Command {
        let mut command = self.mirrord();
        command.args(name).arg("--config-file").arg(self.file.path());
        command
    }
}

fn written(prefix: &str, text: &Value) -> NamedTempFile {
    let mut file = tempfile::Builder::new().prefix(prefix).suffix(".json").tempfile().unwrap();
    file.write_all(text.to_string().as_bytes()).unwrap();
    file
}

fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}
