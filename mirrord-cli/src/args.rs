//! The command line as types; no deeds.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Where a bare `-f` looks.
const DEFAULT_CONFIG_FILE: &str = "./.mirrord/mirrord.json";

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
    /// Serve one session; started by `exec`.
    #[command(hide = true, name = "intproxy")]
    Proxy,
}

/// What `exec` is told.
#[derive(Debug, Args)]
pub(crate) struct ExecArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) agent: AgentArguments,
    #[command(flatten)]
    pub(crate) features: FeatureArguments,
    /// The configuration file; without a path, `./.mirrord/mirrord.json`; `-` is the standard input.
    /// [env: `MIRRORD_CONFIG_FILE`]
    #[arg(
        short = 'f',
        long,
        value_name = "PATH",
        num_args = 0..=1,
        default_missing_value = DEFAULT_CONFIG_FILE,
    )]
    pub(crate) config_file: Option<PathBuf>,
    /// How the program's calls are caught.
    #[arg(long, value_enum, env = "MIRRORD_ENGINE", default_value_t = Engine::Auto)]
    pub(crate) engine: Engine,
    /// The program, and what it is told.
    #[arg(
        value_name = "COMMAND",
        required = true,
        num_args = 1..,
        trailing_var_arg = true
    )]
    pub(crate) command: Vec<OsString>,
}

/// How calls are caught (DESIGN 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The best that the program allows.
    Auto,
    /// By symbols of libc.
    Layer,
}

/// Whose place is taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArguments {
    /// KIND/NAME[/container/CONTAINER]: pid, netns, docker, podman, compose; or `targetless`.
    #[arg(short, long, value_name = "TARGET")]
    target: Option<String>,
    /// The namespace of a target in Kubernetes.
    #[arg(short = 'n', long, value_name = "NAMESPACE")]
    target_namespace: Option<String>,
}

/// How an agent in Kubernetes is made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Agent")]
pub(crate) struct AgentArguments {
    /// The namespace of the agent.
    #[arg(short, long, value_name = "NAMESPACE")]
    agent_namespace: Option<String>,
    /// What the agent logs.
    #[arg(short = 'l', long, value_name = "LEVEL")]
    agent_log_level: Option<String>,
    /// The agent's image.
    #[arg(short = 'i', long, value_name = "IMAGE")]
    agent_image: Option<String>,
    /// For how many seconds a finished agent is kept.
    #[arg(long, value_name = "SECONDS")]
    agent_ttl: Option<u16>,
    /// For how many seconds to wait for the agent.
    #[arg(long, value_name = "SECONDS")]
    agent_startup_timeout: Option<u16>,
    /// Run the agent as an ephemeral container of the target.
    #[arg(short, long)]
    ephemeral_container: bool,
    /// Do not verify the certificate of the API server.
    #[arg(
        short = 'c',
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    accept_invalid_certificates: Option<bool>,
    /// The context of the kubeconfig.
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
}

/// What is taken from the target.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
#[command(next_help_heading = "Features")]
pub(crate) struct FeatureArguments {
    /// Which files are the target's.
    #[arg(long, value_enum, value_name = "MODE")]
    fs_mode: Option<FsMode>,
    /// Variables of the target that are not taken: patterns, separated by `;`.
    #[arg(short = 'x', long, value_name = "PATTERNS")]
    override_env_vars_exclude: Option<String>,
    /// Variables of the target that are taken: patterns, separated by `;`.
    #[arg(short = 's', long, value_name = "PATTERNS")]
    override_env_vars_include: Option<String>,
    /// A dotenv file whose variables lie over the target's.
    #[arg(long, value_name = "PATH")]
    env_file: Option<String>,
    /// Ask names here.
    #[arg(long)]
    no_remote_dns: bool,
    /// Answer the target's traffic, instead of hearing it.
    #[arg(long)]
    steal: bool,
    /// Connect from here.
    #[arg(long)]
    no_outgoing: bool,
    /// Connect by TCP from here.
    #[arg(long)]
    no_tcp_outgoing: bool,
    /// Send UDP from here.
    #[arg(long)]
    no_udp_outgoing: bool,
    /// Names of programs to leave alone, separated by `;`.
    #[arg(long, value_name = "NAMES")]
    skip_processes: Option<String>,
    /// How descriptors reach the program: made where the target stands and passed, or relayed.
    #[arg(long, value_enum, value_name = "HOW")]
    data_path: Option<DataPath>,
    /// The session's key.
    #[arg(short = 'k', long, value_name = "KEY")]
    key: Option<String>,
    /// Accepted for compatibility: nothing is ever told about anybody.
    #[arg(long, hide = true)]
    no_telemetry: bool,
    /// Accepted for compatibility: no version is ever looked up.
    #[arg(long, hide = true)]
    disable_version_check: bool,
}

/// `feature.fs.mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FsMode {
    /// Read and write there.
    Write,
    /// Read there, write here.
    Read,
    /// Everything here.
    Local,
    /// Everything here but what the lists of the configuration name.
    #[value(alias = "localwithoverrides")]
    LocalWithOverrides,
}

/// `data_path`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DataPath {
    /// The fastest that the target allows.
    Auto,
    /// Made there, and passed.
    Passed,
    /// Made here, and relayed.
    Proxied,
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

impl ExecArguments {
    /// The flags as the environment variables that they are short for: they win over the environment and the file.
    pub(crate) fn overrides(&self) -> BTreeMap<&'static str, String> {
        let Self { target, agent, features, .. } = self;
        let text = |value: &Option<String>| value.clone();
        let number = |value: &Option<u16>| value.map(|value| value.to_string());
        let flag = |set: bool, value: &str| set.then(|| value.to_owned());
        let no_tcp = features.no_outgoing || features.no_tcp_outgoing;
        let no_udp = features.no_outgoing || features.no_udp_outgoing;
        let pairs = [
            ("MIRRORD_IMPERSONATED_TARGET", text(&target.target)),
            ("MIRRORD_TARGET_NAMESPACE", text(&target.target_namespace)),
            ("MIRRORD_AGENT_NAMESPACE", text(&agent.agent_namespace)),
            ("MIRRORD_AGENT_RUST_LOG", text(&agent.agent_log_level)),
            ("MIRRORD_AGENT_IMAGE", text(&agent.agent_image)),
            ("MIRRORD_AGENT_TTL", number(&agent.agent_ttl)),
            ("MIRRORD_AGENT_STARTUP_TIMEOUT", number(&agent.agent_startup_timeout)),
            ("MIRRORD_EPHEMERAL_CONTAINER", flag(agent.ephemeral_container, "true")),
            (
                "MIRRORD_ACCEPT_INVALID_CERTIFICATES",
                agent.accept_invalid_certificates.map(|accept| accept.to_string()),
            ),
            ("MIRRORD_KUBE_CONTEXT", text(&agent.context)),
            ("MIRRORD_FILE_MODE", features.fs_mode.map(|mode| word(mode).replace('-', ""))),
            ("MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE", text(&features.override_env_vars_exclude)),
            ("MIRRORD_OVERRIDE_ENV_VARS_INCLUDE", text(&features.override_env_vars_include)),
            ("MIRRORD_OVERRIDE_ENV_VARS_FILE", text(&features.env_file)),
            ("MIRRORD_REMOTE_DNS", flag(features.no_remote_dns, "false")),
            ("MIRRORD_AGENT_TCP_STEAL_TRAFFIC", flag(features.steal, "true")),
            ("MIRRORD_TCP_OUTGOING", flag(no_tcp, "false")),
            ("MIRRORD_UDP_OUTGOING", flag(no_udp, "false")),
            ("MIRRORD_SKIP_PROCESSES", text(&features.skip_processes)),
            ("MIRRORD_DATA_PATH", features.data_path.map(word)),
            ("MIRRORD_KEY", text(&features.key)),
            ("MIRRORD_TELEMETRY", flag(features.no_telemetry, "false")),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// How a value is written on the command line.
fn word(value: impl ValueEnum + Copy) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn exec(words: &[&str]) -> ExecArguments {
        let words = ["mirrord", "exec"].iter().chain(words);
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Exec(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_is_short_for_a_variable() {
        let arguments = exec(&[
            "-t",
            "pid/1",
            "-n",
            "ns",
            "-a",
            "an",
            "-l",
            "debug",
            "-i",
            "img",
            "--agent-ttl",
            "3",
            "--agent-startup-timeout",
            "4",
            "-e",
            "-c",
            "--context",
            "ctx",
            "--fs-mode",
            "local-with-overrides",
            "-x",
            "A",
            "-s",
            "B",
            "--env-file",
            "x.env",
            "--no-remote-dns",
            "--steal",
            "--no-outgoing",
            "--skip-processes",
            "a;b",
            "--data-path",
            "proxied",
            "-k",
            "key",
            "--no-telemetry",
            "--disable-version-check",
            "--",
            "env",
        ]);
        let overrides = arguments.overrides();
        assert_eq!(overrides.len(), 22, "{overrides:?}");
        let value = |name: &str| overrides[name].as_str();
        assert_eq!(value("MIRRORD_FILE_MODE"), "localwithoverrides");
        assert_eq!(value("MIRRORD_ACCEPT_INVALID_CERTIFICATES"), "true");
        assert_eq!((value("MIRRORD_TCP_OUTGOING"), value("MIRRORD_UDP_OUTGOING")), ("false", "false"));
        assert!(exec(&["true"]).overrides().is_empty());
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        assert_eq!(exec(&["--steal", "ls", "-l", "--steal"]).command, ["ls", "-l", "--steal"]);
        assert_eq!(exec(&["--", "ls", "--", "-t"]).command, ["ls", "--", "-t"]);
        let bare = exec(&["-f", "--", "ls"]);
        assert_eq!(bare.config_file.unwrap(), PathBuf::from(DEFAULT_CONFIG_FILE));
        assert_eq!(exec(&["-f", "x.toml", "ls"]).config_file.unwrap(), PathBuf::from("x.toml"));
    }
}
