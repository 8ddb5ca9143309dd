//! Settings into core rules; all judgement about settings is here.

mod agent;
mod env;
mod fs;
mod network;
mod target;

use std::path::PathBuf;

use mirrord_core::{
    cluster::{AgentOptions, ClusterOptions},
    rules::{Rules, env::EnvRules, pattern::PatternSet, process::ProcessRules},
    target::Target,
};

use serde_json::{Map, Value};

pub use crate::file::{DataPath as DataPathChoice, Engine};
use crate::{
    file::File,
    problem::Findings,
    resolve::{Input, NoTarget, Settings},
    section::supervisor::IoUring,
    source::Overrides,
};

/// How often an agent in a cluster hears of us, in seconds: several times within the time that it waits for us.
const PING_INTERVAL: u64 = 5;

/// Everything that the command and its proxy must know of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// Whose place the guest takes.
    pub target: Target,
    /// What the session may do.
    pub rules: Rules,
    /// Which variables are taken, and what lies over them.
    pub environment: EnvRules,
    /// `feature.fs.mapping` with what magic adds: pairs of an expression and its replacement.
    pub mapping: Vec<(String, String)>,
    /// `feature.fs.readonly_file_buffer`, in bytes; 0 is off.
    pub readonly_file_buffer: u64,
    /// `data_path`.
    pub data_path: DataPathChoice,
    /// `engine`.
    pub engine: Engine,
    /// `supervisor.io_uring`: whether rings are allowed.
    pub allows_rings: bool,
    /// How a cluster is reached.
    pub cluster: ClusterOptions,
    /// `agent`, for a cluster.
    pub agent: AgentOptions,
    /// `internal_proxy`.
    pub proxy: ProxySettings,
    /// The key of the session.
    pub key: Key,
    /// `api`: whether the session answers those who ask for it.
    pub api: bool,
    /// The settings that are not as they would be if nobody had said anything.
    pub changed: serde_json::Value,
    /// `MIRRORD_IGNORE_DEBUGGER_PORTS`: first and last port of each range.
    pub debugger_ports: Vec<(u16, u16)>,
    /// `feature.magic.turbo`.
    pub turbo: bool,
}

/// `internal_proxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Seconds to wait for the first layer.
    pub start_idle_timeout: u64,
    /// Seconds after the last layer.
    pub idle_timeout: u64,
    /// What is logged.
    pub log_level: String,
    /// Where; an existing directory or a path with a slash at its end means a file in it.
    pub log_destination: Option<PathBuf>,
    /// Whether as JSON.
    pub json_log: bool,
    /// Seconds between two signs of life to an agent in a cluster.
    pub ping_interval: u64,
}

/// The key of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Whether nobody chose it.
    pub is_generated: bool,
}

/// Lowers settings. Whatever is wrong is among the findings; then the result means nothing.
pub(crate) fn lower(
    settings: &Settings,
    input: &Input<'_>,
    no_target: NoTarget,
    findings: &mut Findings,
) -> Lowered {
    let mut lowering = Lowering { settings, input, findings };
    let target = lowering.target();
    let presence = match (&target, no_target) {
        (Target::Named { .. }, _) => Presence::Target,
        (Target::Targetless, NoTarget::IsOpen) if settings.file.target.path.is_none() => Presence::Target,
        (Target::Targetless, _) => Presence::Targetless,
    };
    let (fs, mapping) = lowering.fs(presence);
    let file = &settings.file;
    let outgoing = lowering.outgoing();
    let rules = Rules {
        process: lowering.processes(),
        fs,
        dns: lowering.dns(&outgoing),
        outgoing,
        incoming: lowering.incoming(presence),
        hostname: file.feature.hostname && presence == Presence::Target,
        ipv6: file.feature.network.ipv6,
    };
    let environment = lowering.environment(presence);
    let (cluster, agent) = (lowering.cluster(), lowering.agent(&target));
    lowering.retries();
    lowering.key();
    Lowered {
        target,
        rules,
        environment,
        mapping,
        readonly_file_buffer: lowering.readonly_file_buffer(),
        data_path: file.data_path,
        engine: file.engine,
        allows_rings: file.supervisor.io_uring == IoUring::Allow,
        cluster,
        agent,
        proxy: lowering.proxy(),
        key: settings.key.clone(),
        api: file.api.unwrap_or(true),
        changed: changed(file),
        debugger_ports: lowering.debugger_ports(),
        turbo: file.feature.magic.turbo,
    }
}

/// The settings that are not as they would be if nobody had said anything.
fn changed(file: &File) -> Value {
    let values = |file: &File| serde_json::to_value(file).unwrap_or_default();
    difference(&values(file), &values(&File::default())).unwrap_or_else(|| Value::Object(Map::new()))
}

fn difference(said: &Value, usual: &Value) -> Option<Value> {
    match (said, usual) {
        (Value::Object(said), Value::Object(usual)) => {
            let entries = said.iter().filter_map(|(key, value)| {
                let usual = usual.get(key).unwrap_or(&Value::Null);
                Some((key.clone(), difference(value, usual)?))
            });
            let entries: Map<_, _> = entries.collect();
            (!entries.is_empty()).then_some(Value::Object(entries))
        }
        _ => (said != usual).then(|| said.clone()),
    }
}

/// Whether there is a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Target,
    Targetless,
}

/// Settings on their way.
struct Lowering<'a, 'i> {
    settings: &'a Settings,
    input: &'a Input<'i>,
    findings: &'a mut Findings,
}

impl Lowering<'_, '_> {
    /// Notes what is wrong with a key, where its value came from.
    fn problem(&mut self, key: &str, message: String, hint: Option<String>) {
        let origin = self.settings.tree.origin_of(key);
        self.findings.problem(Some(origin), key, message, hint);
    }

    /// Notes what is wrong with an entry of a map, whose name may hold dots.
    fn problem_in_map(&mut self, key: &str, name: &str, message: String) {
        let entry = self.settings.tree.get(key).and_then(|node| node.entry(name));
        let origin = entry.map_or_else(|| self.settings.tree.origin_of(key), |entry| entry.origin);
        self.findings.problem(Some(origin), key, message, None);
    }

    /// Says something about a key.
    fn warn(&mut self, key: &str, message: &str) {
        let place = self.findings.place(self.settings.tree.origin_of(key));
        self.findings.warn(format!("{place}: {message}"));
    }

    /// Compiles the patterns of a list; each one that is malformed is told by its own place.
    fn patterns(&mut self, key: &str, list: Option<&Vec<String>>) -> PatternSet {
        let list = list.map(Vec::as_slice).unwrap_or_default();
        match PatternSet::compile(list) {
            Ok(set) => set,
            Err(error) => {
                let n_problems = self.findings.n_problems();
                for (index, pattern) in list.iter().enumerate() {
                    if let Err(error) = PatternSet::compile(&[pattern]) {
                        self.problem(&format!("{key}[{index}]"), format!("`{key}`: {error}"), None);
                    }
                }
                if self.findings.n_problems() == n_problems {
                    self.problem(key, format!("`{key}`: {error}"), None);
                }
                PatternSet::default()
            }
        }
    }

    fn processes(&mut self) -> ProcessRules {
        let file = &self.settings.file;
        let mut skip = file.skip_processes.clone().unwrap_or_default();
        if let Some(extra) = &file.skip_extra_build_tools {
            if file.skip_build_tools {
                skip.extend(extra.iter().cloned());
            } else {
                self.warn(
                    "skip_extra_build_tools",
                    "`skip_extra_build_tools` has no effect: `skip_build_tools` is off",
                );
            }
        }
        ProcessRules { skip, skip_build_tools: file.skip_build_tools }
    }

    fn proxy(&mut self) -> ProxySettings {
        let proxy = &self.settings.file.internal_proxy;
        ProxySettings {
            start_idle_timeout: proxy.start_idle_timeout,
            idle_timeout: proxy.idle_timeout,
            log_level: proxy.log_level.clone(),
            log_destination: proxy.log_destination.as_deref().map(PathBuf::from),
            json_log: proxy.json_log,
            ping_interval: proxy.ping_interval.unwrap_or(PING_INTERVAL),
        }
    }

    fn retries(&mut self) {
        let retry = &self.settings.file.startup_retry;
        if retry.max_ms == 0 {
            self.problem("startup_retry.max_ms", "`startup_retry.max_ms` is 0".to_owned(), None);
        } else if retry.min_ms > retry.max_ms {
            let message = "`startup_retry.min_ms` is larger than `startup_retry.max_ms`".to_owned();
            self.problem("startup_retry.min_ms", message, None);
        }
    }

    fn key(&mut self) {
        if self.settings.key.text.trim().is_empty() {
            self.problem("key", "`key` is empty".to_owned(), Some("leave it out to get one".to_owned()));
        }
    }

    fn debugger_ports(&mut self) -> Vec<(u16, u16)> {
        const VARIABLE: &str = "MIRRORD_IGNORE_DEBUGGER_PORTS";
        let overrides = Overrides { environment: &self.input.environment, flags: &self.input.flags };
        let Some((text, origin)) = overrides.get(VARIABLE) else { return Vec::new() };
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
                (Ok(first), Ok(last)) if first <= last => ranges.push((first, last)),
                _ => {
                    let message = format!("`{part}` is neither a port nor a range of ports");
                    let hint = "write ports and ranges with commas between them: `9229,5678-5690`".to_owned();
                    self.findings.problem(Some(origin), "", message, Some(hint));
                }
            }
        }
        ranges
    }
}
