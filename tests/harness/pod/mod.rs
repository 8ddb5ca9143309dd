//! A pretend pod, as a story sees it: start it, know its main process, run something inside, be rid of it.
//!
//! The pod itself is the program `pretend-pod` (`birth` makes the namespaces, `root` the files, `network` the
//! addresses, `services` and `dns` what answers there).
//! It lives as long as its owner holds the other end of its standard input: when the owner ends, by whatever means,
//! the pod's first process sees the end of that pipe and leaves, and with it the kernel takes every process, mount and
//! namespace of the pod. Nothing of it ever stands on a disk.

pub mod birth;
pub mod dns;
pub mod enter;
pub mod network;
pub mod root;
pub mod services;

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// The pod's name, and so its host name.
pub const NAME: &str = "shop-7d9f";
/// The pod's own IPv4 address.
pub const ADDRESS: &str = "10.77.0.2";
/// The pod's own IPv6 address.
pub const ADDRESS_6: &str = "fd77::2";

/// A pod that runs.
#[derive(Debug)]
pub struct Pod {
    keeper: Child,
    pid: i32,
}

impl Pod {
    /// Starts a pod, and waits until its services answer.
    pub fn start() -> io::Result<Self> {
        let mut keeper =
            Command::new(Self::program()).arg("run").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(keeper.stdout.take().expect("it is piped")).lines();
        let told = lines.next().transpose()?.and_then(|line| line.strip_prefix("ready ")?.parse().ok());
        let Some(pid) = told else {
            let status = keeper.wait()?;
            return Err(io::Error::other(format!(
                "the pretend pod did not start ({status}); its words are above"
            )));
        };
        Ok(Self { keeper, pid })
    }

    /// The pod's main process, as this machine numbers it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What `--target` is told.
    #[must_use]
    pub fn target(&self) -> String {
        format!("pid/{}", self.pid)
    }

    /// A path of the pod, as this machine can reach it.
    #[must_use]
    pub fn path(&self, there: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{there}", self.pid))
    }

    /// A program to be run inside, with the pod's own environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_in("/", program)
    }

    /// A program to be run inside, from a folder of the pod's.
    pub fn command_in(&self, folder: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(Self::program());
        command.arg("enter").arg(self.pid.to_string()).arg(folder).arg(program);
        command
    }

    /// The program that is the pod.
    #[must_use]
    pub fn program() -> PathBuf {
        crate::programs::built().join("pretend-pod")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper ends after the last process of the pod.
        let _ = self.keeper.wait();
    }
}
