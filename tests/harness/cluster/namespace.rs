//! A namespace for one story, in which a developer may what `examples/rbac.yaml` allows.

use std::{process::Command, sync::atomic::AtomicUsize, time::Duration};

use super::{Cluster, said, tell, text_of};
use crate::{eventually::eventually, programs::repository, transcript::Transcript};

/// How long a pod may take to be what it should be.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace; it goes with the story.
#[derive(Debug)]
pub struct Namespace {
    pub(super) cluster: &'static Cluster,
    pub(super) name: String,
}

impl Namespace {
    /// A namespace with things in it, for a story; none where there is no cluster.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn with(yaml: &str) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let cluster = Cluster::find()?;
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("story-{}-{count}", std::process::id());
        said(cluster.kubectl().args(["create", "namespace", &name]));
        let namespace = Self { cluster, name };
        // Until there is one, no pod is admitted.
        eventually("the namespace's account", PATIENCE, || {
            let told = Transcript::of(namespace.kubectl().args(["get", "serviceaccount", "default"]));
            (told.code == Some(0)).then_some(())
        });
        namespace.apply(&text_of(&repository().join("examples/rbac.yaml")));
        namespace.apply(yaml);
        Some(namespace)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl` in it, as the administrator.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = self.cluster.kubectl();
        command.args(["--namespace", &self.name]);
        command
    }

    /// What `kubectl` says.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn said(&self, arguments: &[&str]) -> String {
        said(self.kubectl().args(arguments))
    }

    /// Has `kubectl` do something.
    ///
    /// # Panics
    /// When it fails.
    pub fn does(&self, arguments: &[&str]) {
        let _words = self.said(arguments);
    }

    /// Makes, or changes, what is written.
    ///
    /// # Panics
    /// When the cluster refuses it.
    pub fn apply(&self, yaml: &str) {
        tell(self.kubectl().args(["apply", "-f", "-"]), yaml);
    }

    /// Waits until so many pods with a label are ready; tells their names, in order.
    ///
    /// # Panics
    /// When they do not become so.
    #[must_use]
    pub fn ready(&self, label: &str, n_pods: usize) -> Vec<String> {
        eventually(&format!("{n_pods} ready pods with {label}"), PATIENCE, || {
            let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.deletionTimestamp} \
                        {.status.conditions[?(@.type==\"Ready\")].status}\n{end}";
            let pods = self.said(&["get", "pods", "-l", label, "-o", path]);
            let mut ready: Vec<String> = Vec::new();
            for line in pods.lines() {
                match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                    [name, "True"] => ready.push((*name).to_owned()),
                    _ => return None,
                }
            }
            ready.sort();
            (ready.len() == n_pods).then_some(ready)
        })
    }

    /// What a program says that runs in a pod's container.
    #[must_use]
    pub fn inside(&self, pod: &str, words: &[&str]) -> Transcript {
        Transcript::of(self.kubectl().args(["exec", pod, "--"]).args(words))
    }

    /// What a Service answers to a pod, `client`, that asks for a path; nothing if it does not.
    #[must_use]
    pub fn asked(&self, url: &str) -> String {
        // Of a static busybox, `wget -T` ends by a fault.
        self.inside("client", &["timeout", "5", "wget", "-q", "-O", "-", url]).stdout
    }

    /// Waits until a Service answers so.
    ///
    /// # Panics
    /// When it does not within ten seconds.
    pub fn answers(&self, url: &str, what: &str) {
        let mut last = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            last = self.asked(url);
            if last.contains(what) {
                return;
            }
        }
        panic!("{url} answered `{last}`, not `{what}`");
    }
}

impl Namespace {
    /// What became of everything, for whoever reads why a story failed.
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn tell(&self) {
        let told = Transcript::of(self.kubectl().args(["get", "pods,jobs,events", "-o", "wide"]));
        eprintln!("{}", told.stdout);
        let ours = Transcript::of(self.kubectl().args(["get", "pods", "-l", "app=mirrord", "-o", "name"]));
        for pod in ours.stdout.lines() {
            let told = Transcript::of(self.kubectl().args(["logs", pod, "--tail=40"]));
            eprintln!("{pod}:\n{}{}", told.stdout, told.stderr);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        let mut command = self.cluster.kubectl();
        let _ = command.args(["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}
