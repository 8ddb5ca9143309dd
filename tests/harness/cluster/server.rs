//! Another API server of the same cluster, which a story may end and start again.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::Cluster;
use crate::eventually::eventually;

/// How long one may take until it is ready; beside other stories that is long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A second API server, on a port of loopback. It ends with the story.
#[derive(Debug)]
pub struct ApiServer {
    words: Vec<String>,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl ApiServer {
    /// Starts it, as the cluster's own is; none where that does not run on this machine.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Option<Self> {
        let (words, folder) = running()?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let is_ours = |word: &String| {
            ["--secure-port", "--bind-address", "--endpoint-reconciler-type"]
                .iter()
                .any(|name| word.starts_with(name))
        };
        let mut words: Vec<String> = words.into_iter().filter(|word| !is_ours(word)).collect();
        words.extend([
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            // Pods are not to know of it.
            "--endpoint-reconciler-type=none".to_owned(),
        ]);
        let mut server = Self { words, folder, port, child: None };
        server.start_again(cluster);
        Some(server)
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self, cluster: &Cluster) {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let url = self.url();
        eventually("another API server", PATIENCE, || {
            let mut asked = cluster.kubectl();
            let told = asked.args(["--server", &url, "get", "--raw", "/readyz"]).output().unwrap();
            told.status.success().then_some(())
        });
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The words by which the cluster's own was started, and where.
fn running() -> Option<(Vec<String>, PathBuf)> {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> =
            String::from_utf8_lossy(&words).split_terminator('\0').map(str::to_owned).collect();
        let is_it = words.first().is_some_and(|word| word.ends_with("/kube-apiserver"))
            && words.iter().any(|word| word == "--secure-port=6443");
        if is_it && let Ok(folder) = fs::read_link(entry.path().join("cwd")) {
            return Some((words, folder));
        }
    }
    None
}
