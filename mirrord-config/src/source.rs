//! File, environment, flags: who wins, and where each value came from.
//!
//! A flag is turned into the variable that it stands for, so that there is one table.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    problem::{Origin, Problem, Problems},
    tree::{Kind, Node},
};

/// The largest file that is read.
const MAX_FILE: u64 = 4 << 20;

/// A configuration file as it was read.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// Its path; `-` is standard input.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl FileSource {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than any configuration.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let problem = |message: String, hint: Option<&str>| {
            Problems::from(Problem { place: None, key: None, message, hint: hint.map(str::to_owned) })
        };
        let mut bytes = Vec::new();
        let result = if path == Path::new("-") {
            std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        };
        match result {
            Ok(_) if bytes.len() as u64 > MAX_FILE => Err(problem(
                format!("the configuration file `{}` is larger than 4 MiB", path.display()),
                None,
            )),
            Ok(_) => Ok(Self { path: path.to_owned(), bytes }),
            Err(error) => Err(problem(
                format!("cannot read the configuration file `{}`: {error}", path.display()),
                (error.kind() == std::io::ErrorKind::NotFound)
                    .then_some("name an existing file with `-f`, or leave `-f` out"),
            )),
        }
    }

    /// How the file is called in messages.
    pub(crate) fn name(&self) -> String {
        if self.path == Path::new("-") {
            "standard input".to_owned()
        } else {
            self.path.display().to_string()
        }
    }
}

/// How a variable is read.
#[derive(Clone, Copy)]
enum Form {
    Bool,
    Number,
    Text,
    /// Separated by `;`.
    List,
    /// A list of numbers.
    Numbers,
    /// `true` is steal, `false` is mirror.
    Incoming,
    /// With or without hyphens.
    FsMode,
}

/// A setting that the environment may give, and the flag that stands for it.
struct Setting {
    variable: &'static str,
    path: &'static str,
    form: Form,
    flag: Option<&'static str>,
}

const fn set(variable: &'static str, path: &'static str, form: Form, flag: Option<&'static str>) -> Setting {
    Setting { variable, path, form, flag }
}

const SETTINGS: &[Setting] = &[
    set("MIRRORD_IMPERSONATED_TARGET", "target.path", Form::Text, Some("--target")),
    set("MIRRORD_TARGET_NAMESPACE", "target.namespace", Form::Text, Some("--target-namespace")),
    set("MIRRORD_DATA_PATH", "data_path", Form::Text, Some("--data-path")),
    set("MIRRORD_ENGINE", "engine", Form::Text, Some("--engine")),
    set("MIRRORD_KEY", "key", Form::Text, Some("--key")),
    set(
        "MIRRORD_OVERRIDE_ENV_VARS_INCLUDE",
        "feature.env.include",
        Form::List,
        Some("--override-env-vars-include"),
    ),
    set(
        "MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE",
        "feature.env.exclude",
        Form::List,
        Some("--override-env-vars-exclude"),
    ),
    set("MIRRORD_OVERRIDE_ENV_VARS_FILE", "feature.env.env_file", Form::Text, Some("--env-file")),
    set("MIRRORD_ENV_LOAD_FROM_PROCESS", "feature.env.load_from_process", Form::Bool, None),
    set("MIRRORD_FILE_MODE", "feature.fs.mode", Form::FsMode, Some("--fs-mode")),
    set("MIRRORD_FILE_READ_WRITE_PATTERN", "feature.fs.read_write", Form::List, None),
    set("MIRRORD_FILE_READ_ONLY_PATTERN", "feature.fs.read_only", Form::List, None),
    set("MIRRORD_FILE_LOCAL_PATTERN", "feature.fs.local", Form::List, None),
    set("MIRRORD_ENABLE_IPV6", "feature.network.ipv6", Form::Bool, None),
    set("MIRRORD_AGENT_TCP_STEAL_TRAFFIC", "feature.network.incoming.mode", Form::Incoming, Some("--steal")),
    set("MIRRORD_HTTP_HEADER_FILTER", "feature.network.incoming.http_filter.header_filter", Form::Text, None),
    set("MIRRORD_HTTP_PATH_FILTER", "feature.network.incoming.http_filter.path_filter", Form::Text, None),
    set("MIRRORD_HTTP_METHOD_FILTER", "feature.network.incoming.http_filter.method_filter", Form::Text, None),
    set(
        "MIRRORD_HTTP_HEADER_FILTER_JQ",
        "feature.network.incoming.http_filter.header_filter_jq",
        Form::Text,
        None,
    ),
    set("MIRRORD_HTTP_FILTER_PORTS", "feature.network.incoming.http_filter.ports", Form::Numbers, None),
    set(
        "MIRRORD_OPERATOR_ON_CONCURRENT_STEAL",
        "feature.network.incoming.on_concurrent_steal",
        Form::Text,
        None,
    ),
    set("MIRRORD_TCP_OUTGOING", "feature.network.outgoing.tcp", Form::Bool, Some("--no-tcp-outgoing")),
    set("MIRRORD_UDP_OUTGOING", "feature.network.outgoing.udp", Form::Bool, Some("--no-udp-outgoing")),
    set("MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS", "feature.network.outgoing.unix_streams", Form::List, None),
    set("MIRRORD_OUTGOING_IGNORE_LOCALHOST", "feature.network.outgoing.ignore_localhost", Form::Bool, None),
    set("MIRRORD_REMOTE_DNS", "feature.network.dns.enabled", Form::Bool, Some("--no-remote-dns")),
    set("MIRRORD_SKIP_PROCESSES", "skip_processes", Form::List, Some("--skip-processes")),
    set("MIRRORD_SKIP_BUILD_TOOLS", "skip_build_tools", Form::Bool, None),
    set("MIRRORD_SKIP_EXTRA_BUILD_TOOLS", "skip_extra_build_tools", Form::List, None),
    set("MIRRORD_SKIP_SIP", "skip_sip", Form::List, None),
    set(
        "MIRRORD_ACCEPT_INVALID_CERTIFICATES",
        "accept_invalid_certificates",
        Form::Bool,
        Some("--accept-invalid-certificates"),
    ),
    set("MIRRORD_KUBECONFIG", "kubeconfig", Form::Text, None),
    set("MIRRORD_KUBE_CONTEXT", "kube_context", Form::Text, Some("--context")),
    set("MIRRORD_OPERATOR_ENABLE", "operator", Form::Bool, None),
    set("MIRRORD_MULTI_CLUSTER", "multi_cluster", Form::Bool, None),
    set("MIRRORD_API", "api", Form::Bool, None),
    set("MIRRORD_TELEMETRY", "telemetry", Form::Bool, Some("--no-telemetry")),
    set("MIRRORD_PROXY", "use_proxy", Form::Bool, None),
    set("MIRRORD_AGENT_RUST_LOG", "agent.log_level", Form::Text, Some("--agent-log-level")),
    set("MIRRORD_AGENT_JSON_LOG", "agent.json_log", Form::Bool, None),
    set("MIRRORD_AGENT_NAMESPACE", "agent.namespace", Form::Text, Some("--agent-namespace")),
    set("MIRRORD_AGENT_IMAGE", "agent.image", Form::Text, Some("--agent-image")),
    set("MIRRORD_AGENT_IMAGE_REGISTRY", "agent.image.registry", Form::Text, None),
    set("MIRRORD_AGENT_IMAGE_TAG", "agent.image.tag", Form::Text, None),
    set("MIRRORD_AGENT_IMAGE_PULL_POLICY", "agent.image_pull_policy", Form::Text, None),
    set("MIRRORD_AGENT_TTL", "agent.ttl", Form::Number, Some("--agent-ttl")),
    set("MIRRORD_EPHEMERAL_CONTAINER", "agent.ephemeral", Form::Bool, Some("--ephemeral-container")),
    set("MIRRORD_AGENT_COMMUNICATION_TIMEOUT", "agent.communication_timeout", Form::Number, None),
    set(
        "MIRRORD_AGENT_STARTUP_TIMEOUT",
        "agent.startup_timeout",
        Form::Number,
        Some("--agent-startup-timeout"),
    ),
    set("MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS", "agent.flush_connections", Form::Bool, None),
    set("MIRRORD_AGENT_EXTERNAL_IP_FIX", "agent.external_ip_fix", Form::Bool, None),
    set("MIRRORD_AGENT_EXCLUDE_FROM_MESH", "agent.exclude_from_mesh", Form::Bool, None),
    set("MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT", "agent.http_detection_timeout", Form::Number, None),
    set("MIRRORD_AGENT_CLEAN_IPTABLES_ON_START", "agent.clean_iptables_on_start", Form::Bool, None),
];

/// Variables and flags, the flags before the variables.
pub(crate) struct Overrides<'a> {
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) flags: &'a BTreeMap<&'static str, String>,
}

impl Overrides<'_> {
    /// What a variable says, and who said it. An empty variable says nothing.
    pub(crate) fn get(&self, variable: &'static str) -> Option<(&str, Origin)> {
        if let Some(value) = self.flags.get(variable) {
            let flag =
                SETTINGS.iter().find(|setting| setting.variable == variable).and_then(|found| found.flag);
            return Some((value, flag.map_or(Origin::Environment(variable), Origin::Flag)));
        }
        let value = self.environment.get(variable).filter(|value| !value.is_empty())?;
        Some((value, Origin::Environment(variable)))
    }

    /// Lays what they say over a tree whose short forms are written out.
    pub(crate) fn lay_over(&self, root: &mut Node) {
        self.lay_legacy_fs_over(root);
        for setting in SETTINGS {
            if let Some((text, origin)) = self.get(setting.variable) {
                root.set(setting.path, Node::from_value(setting.form.read(text), origin));
            }
        }
    }

    /// `MIRRORD_FILE_OPS` and `MIRRORD_FILE_RO_OPS`, which came before `MIRRORD_FILE_MODE`.
    fn lay_legacy_fs_over(&self, root: &mut Node) {
        let read = |variable| self.get(variable).map(|(text, origin)| (Form::Bool.read(text), origin));
        let (all, read_only) = (read("MIRRORD_FILE_OPS"), read("MIRRORD_FILE_RO_OPS"));
        let Some((_, origin)) = all.clone().or(read_only.clone()) else { return };
        let says = |what: &Option<(Value, Origin)>| what.as_ref().map(|(value, _)| value.clone());
        let kind = match (says(&all), says(&read_only)) {
            (Some(Value::Bool(true)), None | Some(Value::Bool(_))) => Kind::Text("write".to_owned()),
            (None | Some(Value::Bool(false)), Some(Value::Bool(true))) => Kind::Text("read".to_owned()),
            (None | Some(Value::Bool(false)), None | Some(Value::Bool(false))) => {
                Kind::Text("local".to_owned())
            }
            (Some(Value::Bool(_)) | None, Some(other)) | (Some(other), _) => {
                Node::from_value(other, origin).kind
            }
        };
        root.set("feature.fs.mode", Node::new(kind, origin));
    }
}

impl Form {
    /// A text by its form; what is not of the form stays a text, about which the check will complain.
    fn read(self, text: &str) -> Value {
        let parts = || text.split(';').map(str::trim).filter(|part| !part.is_empty());
        match self {
            Self::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Value::Bool(true),
                "false" | "0" => Value::Bool(false),
                _ => text.into(),
            },
            Self::Number => number(text),
            Self::Text => text.into(),
            Self::List => parts().collect(),
            Self::Numbers => parts().map(number).collect(),
            Self::Incoming => match text {
                "true" => "steal".into(),
                "false" => "mirror".into(),
                other => other.into(),
            },
            Self::FsMode => text.replace('-', "").into(),
        }
    }
}

fn number(text: &str) -> Value {
    text.trim().parse::<u64>().map_or_else(|_| text.into(), Value::from)
}

/// The variables of a key, and the flags that stand for them, as a manual shows them.
#[cfg(test)]
pub(crate) fn variables_of(path: &str) -> Vec<String> {
    // What waits is refused with all that is within it.
    let within = if path == "target" { "target.path".to_owned() } else { format!("{path}.") };
    let fits = |setting: &&Setting| setting.path == path || setting.path.starts_with(&within);
    let show = |setting: &Setting| match setting.flag {
        Some(flag) => format!("`{}` `{flag}`", setting.variable),
        None => format!("`{}`", setting.variable),
    };
    SETTINGS.iter().filter(fits).map(show).collect()
}
