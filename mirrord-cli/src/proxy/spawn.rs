//! Starts the agent's program, and listens to what it says on its standard error.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::Notify,
};

use super::start::{Order, Place};

/// The descriptor on which an agent finds its lanes.
const LANES: i32 = 3;

/// How many of its last lines are kept, for the case that it fails.
const N_LAST_LINES: usize = 16;

/// How long an agent that was told to go may take.
const LEAVE_TIME: Duration = Duration::from_secs(5);

/// The agent's process.
#[derive(Debug)]
pub(crate) struct AgentProcess {
    /// Waits for its end, so that it does not stay a zombie; ends it when it is told to.
    keeper: tokio::task::JoinHandle<()>,
    doom: Arc<Notify>,
    last_lines: Arc<Mutex<Vec<String>>>,
    reader: tokio::task::JoinHandle<()>,
}

impl AgentProcess {
    /// Starts it.
    pub(crate) fn start(order: &Order, lanes: OwnedFd) -> io::Result<Self> {
        let mut command = Command::new(&order.agent);
        command.args(["--log-level", &order.agent_log_level]);
        match &order.place {
            Place::Process(pid) => command.arg("--target-pid").arg(pid.to_string()),
            Place::Network { file, name } => command.arg("--netns").arg(file).arg("--netns-name").arg(name),
            Place::Here => command.arg("--here"),
            Place::Cluster(_) | Place::Address(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        for guests_own in ["LD_PRELOAD", mirrord_protocol::proxy::names::PROXY_ADDRESS] {
            command.env_remove(guests_own);
        }
        let source = lanes.as_raw_fd();
        let give_lanes = move || place_descriptor(source);
        // SAFETY: between fork and exec only system calls are made.
        unsafe { command.pre_exec(give_lanes) };
        let mut child = tokio::process::Command::from(command).spawn()?;
        drop(lanes);
        let last_lines = Arc::<Mutex<Vec<String>>>::default();
        let words = child.stderr.take();
        let kept = last_lines.clone();
        let reader = tokio::spawn(async move {
            let Some(words) = words else { return };
            let mut words = BufReader::new(words).lines();
            while let Ok(Some(line)) = words.next_line().await {
                tracing::info!(target: "agent", "{line}");
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == N_LAST_LINES {
                    kept.remove(0);
                }
                kept.push(line);
            }
        });
        let doom = Arc::<Notify>::default();
        let doomed = doom.clone();
        let keeper = tokio::spawn(async move {
            tokio::select! {
                end = child.wait() => tracing::info!(?end, "agent has ended"),
                () = doomed.notified() => drop(child.kill().await),
            }
        });
        Ok(Self { keeper, doom, last_lines, reader })
    }

    /// Waits for its end, as long as is decent, and tells its last lines.
    pub(crate) async fn leave(mut self) -> Vec<String> {
        if tokio::time::timeout(LEAVE_TIME, &mut self.keeper).await.is_err() {
            tracing::warn!("agent does not leave by itself");
            self.doom.notify_one();
            drop(self.keeper.await);
        }
        // Whatever it left behind may hold its standard error open.
        drop(tokio::time::timeout(Duration::from_millis(200), self.reader).await);
        std::mem::take(&mut *self.last_lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AgentProcess {
    /// Waits for its end after it was told to go. One that still has bytes to deliver goes on without us, and knows its
    /// own bounds.
    pub(crate) async fn part(mut self) {
        if tokio::time::timeout(LEAVE_TIME, &mut self.keeper).await.is_err() {
            tracing::info!("the agent still delivers what guests have written");
        }
    }
}

/// Makes the agent's end of the lanes its descriptor 3, which survives `exec`.
fn place_descriptor(source: i32) -> io::Result<()> {
    let result = if source == LANES {
        // SAFETY: a flag of a descriptor of this process is changed.
        unsafe { libc::fcntl(LANES, libc::F_SETFD, 0) }
    } else {
        // SAFETY: this process is about to run another program; nothing here uses descriptor 3 any more.
        unsafe { libc::dup2(source, LANES) }
    };
    nix::errno::Errno::result(result).map(drop).map_err(io::Error::from)
}
