//! A cluster for the stories: the one that they are told to use, the one that runs here, or a new one, which goes with them.

use std::{env, fs, path::PathBuf, process::Command, thread::JoinHandle};

use crate::{archive, cluster, image, say};

/// The kubeconfig of an administrator, whose cluster the stories shall use.
const TOLD: &str = "MIRRORD_TEST_KUBECONFIG";
/// Why there is no cluster, for the stories to say.
const NONE: &str = "MIRRORD_TEST_NO_CLUSTER";

/// A cluster, or why there is none.
pub(crate) struct Borrowed {
    state: State,
    /// It was started for the stories alone.
    is_new: bool,
}

enum State {
    Told,
    Building(JoinHandle<Result<(), String>>),
    Possible,
    Impossible(String),
}

impl Borrowed {
    /// Begins with what takes longest: Kubernetes is built, once on a machine.
    pub(crate) fn begin() -> Self {
        let state = if env::var_os(TOLD).is_some() {
            State::Told
        } else if let Some(why) = cluster::why_not() {
            State::Impossible(why)
        } else {
            State::Building(std::thread::spawn(cluster::build))
        };
        Self { state, is_new: false }
    }

    /// Waits until that is done.
    pub(crate) fn wait(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Possible);
        self.state = match state {
            State::Building(thread) => match thread.join() {
                Ok(Ok(())) => State::Possible,
                Ok(Err(why)) => State::Impossible(why),
                Err(_) => State::Impossible("its builder has panicked".to_owned()),
            },
            other => other,
        };
    }

    /// Brings the cluster up with what the stories need, and tells them where it is; the agent is as built for the desk,
    /// or for users.
    pub(crate) fn prepare(&mut self, command: &mut Command, is_desk: bool) {
        self.wait();
        if matches!(self.state, State::Possible) {
            match self.bring_up(is_desk) {
                Ok((kubeconfig, agent)) => {
                    command.env(TOLD, kubeconfig).env("MIRRORD_TEST_AGENT_IMAGE", agent);
                }
                Err(why) => self.state = State::Impossible(why),
            }
        }
        if let State::Impossible(why) = &self.state {
            say(&format!("skipping a cluster: {why}"));
            command.env(NONE, format!("no cluster: {why}"));
        }
        // Most of a story is waiting for the cluster.
        command.env("RUST_TEST_THREADS", "4");
    }

    fn bring_up(&mut self, is_desk: bool) -> Result<(PathBuf, String), String> {
        let (kubeconfig, is_new) = cluster::up()?;
        self.is_new |= is_new;
        cluster::load_workloads()?;
        // Others may use the same cluster with another agent.
        let archive = image::agent("story", is_desk)?;
        let bytes = fs::read(&archive).map_err(|error| format!("{}: {error}", archive.display()))?;
        let tag = format!("story-{}", &archive::hex(&bytes)[..12]);
        cluster::load(&image::agent(&tag, is_desk)?)?;
        fs::remove_file(archive.with_file_name(format!("mirrord-agent-{tag}.tar")))
            .map_err(|it| it.to_string())?;
        Ok((kubeconfig, format!("mirrord-agent:{tag}")))
    }

    /// Leaves the machine as it was.
    pub(crate) fn give_back(self) -> Result<(), String> {
        if self.is_new { cluster::down() } else { Ok(()) }
    }
}
