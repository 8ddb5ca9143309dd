//! The agent as Kubernetes is told to run it.
//!
//! A Job's pod is bound to the target's node by name: no scheduler is asked, and a node without room refuses it in
//! words, where a scheduler would let it wait. It sees the node's processes, and has no mount, no account, and of
//! the capabilities only those that [`privilege`] names.

pub mod placement;
pub mod privilege;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Container, EphemeralContainer, LocalObjectReference, PodSpec, PodTemplateSpec,
            ResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use mirrord_core::cluster::AgentOptions;
use serde::de::DeserializeOwned;

use crate::{launch::problem::LaunchError, pod::TargetPod};

/// The port that the agent of a Job serves: its pod is its own, so nobody else can have it.
pub const PORT: u16 = 61337;
/// The container of a Job's pod.
pub const CONTAINER: &str = "mirrord-agent";
/// The label by which the pod of one agent is found.
pub const LABEL_AGENT: &str = "mirrord.dev/agent";
/// The label that says that it is ours.
pub const LABEL_OURS: &str = "app.kubernetes.io/managed-by=mirrord";
/// The label that names the target's pod.
pub const LABEL_TARGET: &str = "mirrord.dev/target-uid";
/// The label that names the target's container, as much of it as a label holds.
pub const LABEL_CONTAINER: &str = "mirrord.dev/container-id";
/// The label that tells the version of the mirrord that made it.
pub const LABEL_VERSION: &str = "mirrord.dev/version";
/// The annotation that tells whose session made it.
pub const ANNOTATION_OWNER: &str = "mirrord.dev/owner";
/// The annotation that names the target.
pub const ANNOTATION_TARGET: &str = "mirrord.dev/target";

/// How long its pod is kept for its kubelet to say that the agent has ended: not at all. A kubelet still asks it to end,
/// and kills it two seconds later, but tells of that up to ten seconds late.
const GRACE: i64 = 0;
/// What a label's value can hold.
const LABEL_LENGTH: usize = 63;

/// All that decides how an agent is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// What its Job, or its ephemeral container, is called.
    pub name: &'a str,
    /// Where it is made.
    pub namespace: &'a str,
    /// What the user wants.
    pub options: &'a AgentOptions,
    /// Beside whom; none for an agent on its own.
    pub target: Option<&'a TargetPod>,
    /// The public key that its clients must have.
    pub client_key: Option<&'a str>,
    /// Whose session makes it.
    pub owner: &'a str,
}

impl Plan<'_> {
    /// The Job of this agent.
    ///
    /// # Errors
    /// When an option is no such object as Kubernetes knows.
    pub fn job(&self) -> Result<Job, LaunchError> {
        let labels = self.labels();
        let annotations = self.annotations()?;
        let metadata = ObjectMeta {
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            ..ObjectMeta::default()
        };
        Ok(Job {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                namespace: Some(self.namespace.to_owned()),
                ..metadata.clone()
            },
            spec: Some(JobSpec {
                backoff_limit: Some(0),
                ttl_seconds_after_finished: Some(self.options.ttl.into()),
                template: PodTemplateSpec { metadata: Some(metadata), spec: Some(self.pod()?) },
                ..JobSpec::default()
            }),
            status: None,
        })
    }

    /// The ephemeral container of this agent; `with_privilege` unless the cluster is too old to give it any.
    #[must_use]
    pub fn ephemeral(&self, with_privilege: bool) -> EphemeralContainer {
        EphemeralContainer {
            name: self.name.to_owned(),
            image: Some(self.options.image.clone()),
            image_pull_policy: some(&self.options.image_pull_policy),
            command: Some(vec!["/mirrord-agent".to_owned()]),
            args: Some(self.arguments()),
            security_context: with_privilege.then(|| privilege::within_the_pod(self.options)),
            target_container_name: self.target.map(|target| target.container.clone()),
            ..EphemeralContainer::default()
        }
    }

    /// The label by which this agent's pod is found.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("{LABEL_AGENT}={}", self.name)
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.options.labels.clone();
        let mut put = |key: &str, value: String| labels.insert(key.to_owned(), value);
        put("app", "mirrord".to_owned());
        put("app.kubernetes.io/managed-by", "mirrord".to_owned());
        put(LABEL_AGENT, self.name.to_owned());
        put(LABEL_VERSION, label(env!("CARGO_PKG_VERSION")));
        if let Some(target) = self.target {
            put(LABEL_TARGET, label(&target.uid));
            put(LABEL_CONTAINER, label(&target.container_id));
        }
        if self.options.disable_mesh_sidecar_injection {
            for key in ["sidecar.istio.io/inject", "kuma.io/sidecar-injection"] {
                let value = if key.starts_with("kuma") { "disabled" } else { "false" };
                labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        labels
    }

    fn annotations(&self) -> Result<BTreeMap<String, String>, LaunchError> {
        let mut annotations = self.options.annotations.clone();
        annotations.insert(ANNOTATION_OWNER.to_owned(), self.owner.to_owned());
        if let Some(target) = self.target {
            let words = format!("pod/{}/container/{}", target.name, target.container);
            annotations.insert(ANNOTATION_TARGET.to_owned(), words);
        }
        if let Some(profile) = privilege::app_armor(self.options)? {
            annotations
                .insert(format!("container.apparmor.security.beta.kubernetes.io/{CONTAINER}"), profile);
        }
        if self.options.disable_mesh_sidecar_injection {
            for (key, value) in [
                ("sidecar.istio.io/inject", "false"),
                ("linkerd.io/inject", "disabled"),
                ("kuma.io/sidecar-injection", "disabled"),
            ] {
                annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        Ok(annotations)
    }

    fn pod(&self) -> Result<PodSpec, LaunchError> {
        let options = self.options;
        let secrets = options.image_pull_secrets.iter();
        let secrets: Vec<_> = secrets.map(|name| LocalObjectReference { name: name.clone() }).collect();
        let spec = PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![self.container()?],
            enable_service_links: Some(false),
            image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
            priority_class_name: options.priority_class.clone(),
            restart_policy: Some("Never".to_owned()),
            security_context: privilege::of_the_pod(options, self.target.is_some())?,
            service_account_name: options.service_account.clone(),
            termination_grace_period_seconds: Some(GRACE),
            ..PodSpec::default()
        };
        placement::place(spec, options, self.target)
    }

    fn container(&self) -> Result<Container, LaunchError> {
        Ok(Container {
            name: CONTAINER.to_owned(),
            image: Some(self.options.image.clone()),
            image_pull_policy: some(&self.options.image_pull_policy),
            command: Some(vec!["/mirrord-agent".to_owned()]),
            args: Some(self.arguments()),
            resources: Some(match &self.options.resources {
                Some(text) => read("agent.resources", text)?,
                None => resources(),
            }),
            security_context: Some(match self.target {
                Some(_) => privilege::beside_a_target(self.options),
                None => privilege::alone(self.options),
            }),
            ..Container::default()
        })
    }

    /// What the agent is told at birth.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut say = |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
        say("--log-level", &self.options.log_level);
        say("--communication-timeout", &self.options.communication_timeout.to_string());
        // In the target's own network, only the kernel knows which port is free.
        say("--listen", &if self.options.ephemeral { 0 } else { PORT }.to_string());
        if let Some(key) = self.client_key {
            say("--pinned", key);
        }
        for (name, value) in
            [("--dns-timeout", self.options.dns_timeout), ("--dns-attempts", self.options.dns_attempts)]
        {
            if let Some(value) = value {
                say(name, &value.to_string());
            }
        }
        match self.target {
            Some(target) => say("--container-id", &target.container_id),
            None => arguments.push("--here".to_owned()),
        }
        let words = [("--ephemeral", self.options.ephemeral), ("--json-log", self.options.json_log)];
        arguments
            .extend(words.iter().filter(|(_, is_wanted)| *is_wanted).map(|(word, _)| (*word).to_owned()));
        arguments
    }
}

/// The name of the Job that all sessions share which want the same agent beside the same container: whoever comes
/// second is told by the API server that it exists.
#[must_use]
pub fn shared_name(options: &AgentOptions, target: &TargetPod) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let text = [target.uid.as_str(), &target.container_id, &options.image, version].join("\n");
    // FNV-1a: the same in every build.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name_of(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The name of an agent with this number.
#[must_use]
pub fn name_of(mut number: u64) -> String {
    const LETTERS: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u', 'v',
        'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9',
    ];
    let mut name = "mirrord-agent-".to_owned();
    for _ in 0..12 {
        name.extend(LETTERS.get(usize::from((number % 32).to_le_bytes()[0])));
        number /= 32;
    }
    name
}

/// Next to nothing is reserved, because an agent sleeps most of its life. It may use two processors, so that a
/// download is not cut into the slices of a quota of one, and memory for the windows of several sessions: an agent
/// that the kernel kills takes all of them along.
fn resources() -> ResourceRequirements {
    let amounts = |cpu: &str, memory: &str| {
        let pairs = [("cpu", cpu), ("memory", memory)];
        Some(pairs.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
    };
    ResourceRequirements {
        requests: amounts("1m", "1Mi"),
        limits: amounts("2", "512Mi"),
        ..ResourceRequirements::default()
    }
}

/// As much of `text` as a label's value may be.
fn label(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let text: String = text.chars().take(LABEL_LENGTH).map(allowed).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What the JSON of an option says.
fn read<T: DeserializeOwned>(key: &'static str, text: &str) -> Result<T, LaunchError> {
    serde_json::from_str(text).map_err(|source| LaunchError::Option { key, source })
}

#[cfg(test)]
mod tests;
