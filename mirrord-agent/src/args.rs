//! What the agent is told at birth.

use std::path::PathBuf;

use clap::Parser;

/// The envoy of a mirrord session: does the guest's work where the target stands. It is started by `mirrord`, with
/// the socket of its lanes as descriptor 3.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// How much is told on stderr: a level, or directives as `tracing` knows them.
    #[arg(long, default_value = "warn")]
    pub(crate) log_level: String,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct PlaceArgs {
    /// The target's main process.
    #[arg(long, value_name = "PID", conflicts_with_all = ["netns", "here"],
          value_parser = clap::value_parser!(i32).range(1..))]
    target_pid: Option<i32>,
    /// The file of the network namespace that is the target.
    #[arg(long, value_name = "FILE", conflicts_with = "here", requires = "netns_name")]
    netns: Option<PathBuf>,
    /// The name of that namespace, by which its files lie in `/etc/netns`.
    #[arg(long, value_name = "NAME", requires = "netns")]
    netns_name: Option<String>,
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
    /// Where it was started.
    Here,
}

impl Args {
    /// Where the agent is to stand.
    pub(crate) fn place(&self) -> Place {
        match (self.place.target_pid, &self.place.netns, &self.place.netns_name) {
            (Some(pid), ..) => Place::Process(pid),
            (None, Some(file), Some(name)) => Place::Netns { file: file.clone(), name: name.clone() },
            _ => Place::Here,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(arguments: &[&str]) -> Option<Place> {
        let arguments = ["mirrord-agent"].iter().chain(arguments);
        Args::try_parse_from(arguments).ok().map(|args| args.place())
    }

    #[test]
    fn exactly_one_place_is_told() {
        assert_eq!(place(&["--target-pid", "7"]), Some(Place::Process(7)));
        assert_eq!(place(&["--here"]), Some(Place::Here));
        assert_eq!(
            place(&["--netns", "/run/netns/x", "--netns-name", "x"]),
            Some(Place::Netns { file: "/run/netns/x".into(), name: "x".into() })
        );
        for wrong in [
            &[][..],
            &["--target-pid", "0"],
            &["--target-pid", "7", "--here"],
            &["--netns", "/run/netns/x"],
            &["--netns-name", "x"],
        ] {
            assert_eq!(place(wrong), None, "{wrong:?}");
        }
    }
}
