//! The command line as types; no deeds.

mod groups;
mod mapping;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use groups::{
    AgentArguments, ClusterArguments, ConfigArguments, FeatureArguments, IgnoredArguments, Overrides,
    TargetArguments,
};
pub(crate) use mapping::{Forward, HostPort, Reverse};

/// Runs programs of this machine in the context of a target.
#[derive(Debug, Parser)]
#[command(name = "mirrord", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program in the context of a target: its environment, files, names, connections and traffic.
    Exec(Box<ExecArguments>),
    /// List the targets of a cluster, as JSON.
    Ls(ListArguments),
    /// Print what arrives at ports of a target.
    Dump(Box<DumpArguments>),
    /// Forward ports: from here to where the target stands, and back.
    PortForward(Box<PortForwardArguments>),
    /// See which sessions run on this machine, and end them.
    #[command(visible_alias = "sessions")]
    Session(SessionArguments),
    /// End sessions of this machine: short for `session stop`.
    Kill(StopArguments),
    /// Find out what a session has to do with.
    Diagnose {
        #[command(subcommand)]
        what: DiagnoseCommand,
    },
    /// Repair what keeps sessions from beginning.
    Fix {
        #[command(subcommand)]
        what: FixCommand,
    },
    /// Make a session for a program that an editor starts: progress as JSON, and the environment at its end.
    #[command(hide = true)]
    Ext(Box<ExtArguments>),
    /// Check a configuration file, and tell the result as JSON.
    #[command(hide = true)]
    VerifyConfig(VerifyArguments),
    /// Write the layer into a folder, as `libmirrord_layer.so`.
    #[command(hide = true)]
    Extract {
        /// The folder.
        path: PathBuf,
    },
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Answer the calls of a guest; started by `exec`. With a program: become it, as a guest that is supervised.
    #[command(hide = true)]
    Supervise(SuperviseArguments),
    /// Serve one session; started by `exec`.
    #[command(hide = true, name = "intproxy")]
    Proxy,
}

/// What `exec` is told.
#[derive(Debug, Args)]
pub(crate) struct ExecArguments {
    #[command(flatten)]
    pub(crate) session: SessionFlags,
    /// How the program's calls are caught.
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<Engine>,
    /// The program, and what it is told.
    #[arg(
        value_name = "COMMAND",
        required = true,
        num_args = 1..,
        trailing_var_arg = true
    )]
    pub(crate) command: Vec<OsString>,
}

impl ExecArguments {
    /// The flags as the environment variables that they are short for.
    pub(crate) fn overrides(&self) -> Overrides {
        let mut overrides = self.session.overrides();
        overrides.extend(self.engine.map(|engine| ("MIRRORD_ENGINE", groups::word(engine))));
        overrides
    }
}

/// What `supervise` is told.
#[derive(Debug, Args)]
pub(crate) struct SuperviseArguments {
    /// The program's file, if this process is to become a guest.
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Stay where this process is: its guests come from below it.
    #[arg(long)]
    pub(crate) stay: bool,
    /// What the program is told, its name first.
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// All flags of a session.
#[derive(Debug, Args)]
pub(crate) struct SessionFlags {
    #[command(flatten)]
    pub(crate) reach: ReachFlags,
    #[command(flatten)]
    features: FeatureArguments,
}

impl SessionFlags {
    /// The flags as the environment variables that they are short for.
    pub(crate) fn overrides(&self) -> Overrides {
        let mut overrides = self.reach.overrides();
        overrides.extend(self.features.overrides());
        overrides
    }
}

/// The flags by which a target is found and reached.
#[derive(Debug, Args)]
pub(crate) struct ReachFlags {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    agent: AgentArguments,
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    ignored: IgnoredArguments,
}

impl ReachFlags {
    fn overrides(&self) -> Overrides {
        let Self { target, agent, cluster, ignored, config: _ } = self;
        let mut overrides = target.overrides();
        overrides.extend(agent.overrides());
        overrides.extend(cluster.overrides());
        overrides.extend(ignored.overrides());
        overrides
    }
}

/// How calls are caught (DESIGN 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// By the layer where the program can take it, by the supervisor where it cannot.
    Auto,
    /// By a library within the program, which takes the place of libc's functions.
    Layer,
    /// By a supervisor beside the program, which answers its system calls.
    Supervisor,
}

/// What `ls` is told.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Json)]
    pub(crate) output: ListFormat,
    /// The namespace; that of the context if absent.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Only these kinds of targets. [env: `MIRRORD_LS_TARGET_TYPES`, a JSON list]
    #[arg(short = 't', long = "target-type", value_name = "KIND", num_args = 1.., value_delimiter = ',')]
    pub(crate) kinds: Vec<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// How targets are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// As JSON.
    Json,
}

/// What `dump` is told.
#[derive(Debug, Args)]
pub(crate) struct DumpArguments {
    /// A port of the target; every port that its pod declares if absent.
    #[arg(short, long = "port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ports: Vec<u16>,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
}

/// What `port-forward` is told.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("mapping").required(true).multiple(true))]
pub(crate) struct PortForwardArguments {
    /// Listen on a port of 127.0.0.1, and connect from where the target stands. A name is asked there.
    #[arg(
        short = 'L',
        long = "port-mapping",
        visible_alias = "port-mappings",
        value_name = "[LOCAL_PORT:]HOST:PORT",
        group = "mapping"
    )]
    pub(crate) forward: Vec<Forward>,
    /// Take what arrives at a port of the target to a port of this machine; stolen or mirrored, as
    /// `feature.network.incoming` says.
    #[arg(
        short = 'R',
        long = "reverse-port-mapping",
        group = "mapping",
        value_name = "[TARGET_PORT:]LOCAL_PORT"
    )]
    pub(crate) reverse: Vec<Reverse>,
    /// Answer the target's traffic, instead of hearing it.
    #[arg(long)]
    pub(crate) steal: bool,
    #[command(flatten)]
    pub(crate) reach: ReachFlags,
}

impl PortForwardArguments {
    /// The flags as the environment variables that they are short for.
    pub(crate) fn overrides(&self) -> Overrides {
        let mut overrides = self.reach.overrides();
        if self.steal {
            overrides.insert("MIRRORD_AGENT_TCP_STEAL_TRAFFIC", "true".to_owned());
        }
        overrides
    }
}

/// What `session` is told.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SessionArguments {
    #[command(subcommand)]
    pub(crate) what: Option<SessionCommand>,
    #[command(flatten)]
    pub(crate) list: SessionListArguments,
}

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List the sessions of this user on this machine; with `--agents`, whose agents are in a cluster.
    List(SessionListArguments),
    /// End sessions: their programs are asked to end (SIGTERM), and what they took is given back.
    #[command(visible_aliases = ["delete", "kill"])]
    Stop(StopArguments),
}

/// Which sessions are listed.
#[derive(Debug, Args)]
pub(crate) struct SessionListArguments {
    /// Only those with this key.
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Only those with a target in this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Those of every namespace; of sessions that is so without `--namespace`, too.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// The agents in a cluster instead, with whoever has made them, as far as you may list Jobs there. An agent that is
    /// an ephemeral container is not among them.
    #[arg(long, conflicts_with = "key")]
    pub(crate) agents: bool,
    /// The configuration that names the cluster of `--agents`.
    #[arg(short = 'f', long, value_name = "PATH")]
    pub(crate) config_file: Option<PathBuf>,
}

/// Which sessions end.
#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// Its id, or as much of its beginning as no other session has.
    #[arg(value_name = "SESSION_ID", required_unless_present = "key")]
    pub(crate) id: Option<String>,
    /// All with this key.
    #[arg(short, long, value_name = "KEY", conflicts_with = "id")]
    pub(crate) key: Option<String>,
    /// Accepted for compatibility: sessions of this machine need no configuration.
    #[arg(short = 'f', long, value_name = "PATH", hide = true)]
    pub(crate) config_file: Option<PathBuf>,
}

/// What can be found out.
#[derive(Debug, Subcommand)]
pub(crate) enum DiagnoseCommand {
    /// Measure a session's round trips, hop by hop.
    Latency(Box<LatencyArguments>),
}

/// What `diagnose latency` is told.
#[derive(Debug, Args)]
pub(crate) struct LatencyArguments {
    /// Also connect to this place from where the target stands.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) to: Option<HostPort>,
    /// How often each hop is measured.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: u32,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
}

/// What can be repaired.
#[derive(Debug, Subcommand)]
pub(crate) enum FixCommand {
    /// Write the whole path of the program by which the current user of a kubeconfig authenticates: editors may not
    /// find it otherwise.
    Kubeconfig {
        /// The kubeconfig; the one that every command uses if absent.
        #[arg(long, value_name = "PATH", env = "MIRRORD_KUBECONFIG", hide_env_values = true)]
        kubeconfig: Option<PathBuf>,
        /// Tell what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What `ext` is told.
#[derive(Debug, Args)]
pub(crate) struct ExtArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// The program that will be started, if it is known already.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) executable: Option<PathBuf>,
}

/// What `verify-config` is told.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// For an editor: a missing target is no problem.
    #[arg(long)]
    pub(crate) ide: bool,
    /// Also print the configuration as it was understood.
    #[arg(long)]
    pub(crate) resolved: bool,
    /// The file.
    pub(crate) path: PathBuf,
}
