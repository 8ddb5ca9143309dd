//! What the agent is told at birth.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use mirrord_trunk::pinned::PublicKey;

/// The envoy of a mirrord session: does the guest's work where the target stands. It is started by `mirrord`: on its
/// own machine with the socket of its lanes as descriptor 3, in a cluster with a port to listen on.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// How much is told on stderr: a level, or directives as `tracing` knows them.
    #[arg(long, default_value = "warn")]
    pub(crate) log_level: String,
    /// Tell it as JSON, an object on each line.
    #[arg(long)]
    pub(crate) json_log: bool,
    /// Listen on loopback of the network namespace in which the agent was started, instead of descriptor 3; 0 is any
    /// free port. Once it can serve it says so on stdout: `mirrord-agent ready version=VERSION port=PORT key=KEY`.
    #[arg(long, value_name = "PORT")]
    pub(crate) listen: Option<u16>,
    /// Serve only whoever proves to have this key, and prove the one that is told on stdout (else it is `none`).
    #[arg(long, value_name = "KEY", requires = "listen")]
    pub(crate) pinned: Option<PublicKey>,
    /// For how many seconds an agent that listens stays without a client: until the first, and after one that was
    /// cut off.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    communication_timeout: u32,
    /// For how many seconds a name server may be silent, instead of what the target's `resolv.conf` says.
    #[arg(long, value_name = "SECONDS")]
    dns_timeout: Option<u32>,
    /// How often the name servers are asked, instead of what the target's `resolv.conf` says.
    #[arg(long, value_name = "NUMBER")]
    dns_attempts: Option<u32>,
    /// Where processes are looked for; the stories of this program have a place of their own.
    #[arg(long, value_name = "FOLDER", default_value = "/proc", hide = true)]
    proc: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct PlaceArgs {
    /// The target's main process.
    #[arg(long, value_name = "PID", conflicts_with_all = ["netns", "container_id", "ephemeral", "here"],
          value_parser = clap::value_parser!(i32).range(1..))]
    target_pid: Option<i32>,
    /// The file of the network namespace that is the target.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["container_id", "ephemeral", "here"],
          requires = "netns_name")]
    netns: Option<PathBuf>,
    /// The name of that namespace, by which its files lie in `/etc/netns`.
    #[arg(long, value_name = "NAME", requires = "netns")]
    netns_name: Option<String>,
    /// The container that is the target, whose processes the agent sees: in the process namespace of the node
    /// (`hostPID`), or with `--ephemeral` in the pod's or the target's own.
    #[arg(long, value_name = "ID", conflicts_with = "here", value_parser = container_id)]
    container_id: Option<String>,
    /// The agent is itself a container of the target's pod, and stands in its network already. Without a container,
    /// process 1 is the target's.
    #[arg(long, conflicts_with = "here")]
    ephemeral: bool,
    /// There is no target: work where the agent was started.
    #[arg(long)]
    here: bool,
}

/// Where the agent is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where this process stands.
    Process(i32),
    /// In a network namespace, with what `/etc/netns` says of it.
    Netns {
        /// The namespace.
        file: PathBuf,
        /// Its name.
        name: String,
    },
    /// Where the processes of a container stand.
    Container(Container),
    /// Where it was started.
    Here,
}

/// Which container is the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its id; none for whose process is the first that the agent sees.
    pub(crate) id: Option<String>,
    /// Whether the agent is a container of the same pod.
    pub(crate) ephemeral: bool,
    /// Where processes are looked for.
    pub(crate) proc: PathBuf,
}

/// How the target's name servers are asked, where the target's own files are not to decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DnsOptions {
    /// How long one may be silent.
    pub(crate) timeout: Option<Duration>,
    /// How often all are asked.
    pub(crate) attempts: Option<usize>,
}

impl Args {
    /// Where the agent is to stand.
    pub(crate) fn place(&self) -> Place {
        let PlaceArgs { target_pid, netns, netns_name, container_id, ephemeral, .. } = &self.place;
        match (target_pid, netns, netns_name) {
            (Some(pid), ..) => Place::Process(*pid),
            (None, Some(file), Some(name)) => Place::Netns { file: file.clone(), name: name.clone() },
            _ if *ephemeral || container_id.is_some() => Place::Container(Container {
                id: container_id.clone(),
                ephemeral: *ephemeral,
                proc: self.proc.clone(),
            }),
            _ => Place::Here,
        }
    }

    /// How name servers are asked. Nothing is no number of seconds or attempts.
    pub(crate) fn dns(&self) -> DnsOptions {
        let said = |option: Option<u32>| option.filter(|number| *number > 0);
        DnsOptions {
            timeout: said(self.dns_timeout).map(|seconds| Duration::from_secs(seconds.into())),
            attempts: said(self.dns_attempts).and_then(|attempts| attempts.try_into().ok()),
        }
    }

    /// How long it stays without a client: long enough at least for one that comes at once.
    pub(crate) fn communication_timeout(&self) -> Duration {
        Duration::from_secs(self.communication_timeout.max(1).into())
    }
}

/// Ids are told with the name of their runtime in front, too: `containerd://ID`.
fn container_id(text: &str) -> Result<String, String> {
    let id = text.rsplit("://").next().unwrap_or(text);
    let is_id =
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_id { Ok(id.to_owned()) } else { Err("that is no id of a container".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(arguments: &[&str]) -> Option<Args> {
        Args::try_parse_from(["mirrord-agent"].iter().chain(arguments)).ok()
    }

    fn place(arguments: &[&str]) -> Option<Place> {
        args(arguments).map(|args| args.place())
    }

    fn container(id: Option<&str>, ephemeral: bool) -> Place {
        let id = id.map(ToOwned::to_owned);
        Place::Container(Container { id, ephemeral, proc: "/proc".into() })
    }

    #[test]
    fn exactly_one_place_is_told() {
        assert_eq!(place(&["--target-pid", "7"]), Some(Place::Process(7)));
        assert_eq!(place(&["--here"]), Some(Place::Here));
        assert_eq!(
            place(&["--netns", "/run/netns/x", "--netns-name", "x"]),
            Some(Place::Netns { file: "/run/netns/x".into(), name: "x".into() })
        );
        assert_eq!(place(&["--container-id", "abc"]), Some(container(Some("abc"), false)));
        assert_eq!(place(&["--container-id", "containerd://abc"]), Some(container(Some("abc"), false)));
        assert_eq!(place(&["--container-id", "abc", "--ephemeral"]), Some(container(Some("abc"), true)));
        assert_eq!(place(&["--ephemeral"]), Some(container(None, true)));
        for wrong in [
            &[][..],
            &["--target-pid", "0"],
            &["--target-pid", "7", "--here"],
            &["--netns", "/run/netns/x"],
            &["--netns-name", "x"],
            &["--container-id", ""],
            &["--container-id", "../x"],
            &["--container-id", "x", "--here"],
            &["--container-id", "x", "--target-pid", "7"],
            &["--ephemeral", "--here"],
            &["--here", "--pinned", "00"],
            &["--here", "--communication-timeout", "-1"],
        ] {
            assert_eq!(place(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_not_told_is_left_to_the_target() {
        let told = args(&["--here", "--dns-timeout", "2", "--dns-attempts", "3"]).unwrap().dns();
        assert_eq!(told, DnsOptions { timeout: Some(Duration::from_secs(2)), attempts: Some(3) });
        let nothing = args(&["--here", "--dns-timeout", "0", "--communication-timeout", "0"]).unwrap();
        assert_eq!(nothing.dns(), DnsOptions::default());
        assert_eq!(nothing.communication_timeout(), Duration::from_secs(1));
        let silent = args(&["--here"]).unwrap();
        assert_eq!(silent.dns(), DnsOptions::default());
        assert_eq!(silent.communication_timeout(), Duration::from_secs(30));
    }
}
